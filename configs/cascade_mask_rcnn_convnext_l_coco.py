"""Cascade Mask R-CNN with ConvNeXt-L on COCO: 36 epochs (3x), multi-scale 480 to 800 with crops.

The recipe of ConvNeXt's authors for ImageNet-22K weights, in single precision; they report 54.8 box and 47.6 mask AP.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = 'cascade_mask_rcnn_convnext_t_coco.py'
model = dict(
    backbone=dict(arch='large', drop_path_rate=0.7),
    neck=dict(in_channels=[192, 384, 768, 1536]),
)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(lr=1e-4))
