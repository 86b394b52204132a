"""Cascade Mask R-CNN with RepLKNet-31L on COCO: 36 epochs (3x), multi-scale 480 to 800 with crops.

The recipe of RepLKNet's authors for ImageNet-22K weights; they report 53.9 box and 46.5 mask AP. They do not state
the number of GPUs: we assume 32, so that lr over batch is that of ConvNeXt-T.
Global batch 32: 32 GPUs x 1 image.
"""

_base_ = 'cascade_mask_rcnn_replknet_31b_coco.py'
model = dict(
    backbone=dict(arch='31l', drop_path_rate=0.7),
    neck=dict(in_channels=[192, 384, 768, 1536]),
)
