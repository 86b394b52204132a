"""Cascade Mask R-CNN with ConvNeXt-B on COCO: 36 epochs (3x), multi-scale 480 to 800 with crops.

The recipe of ConvNeXt's authors for ImageNet-1K weights, in mixed precision; they report 52.7 box and 45.6 mask AP.
For ImageNet-22K weights (54.0 and 46.9) they take lr=1e-4 and drop_path_rate=0.6.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = 'cascade_mask_rcnn_convnext_t_coco.py'
model = dict(
    backbone=dict(arch='base', drop_path_rate=0.7),
    neck=dict(in_channels=[128, 256, 512, 1024]),
)
optim_wrapper = dict(paramwise_cfg=dict(decay_rate=0.8))
