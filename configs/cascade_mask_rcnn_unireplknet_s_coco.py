"""Cascade Mask R-CNN with UniRepLKNet-S on COCO: 36 epochs (3x), multi-scale 480 to 800 with crops.

The recipe of UniRepLKNet's authors for ImageNet-1K weights, in single precision; they report 53.0 box and 45.9
mask AP.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = 'cascade_mask_rcnn_unireplknet_t_coco.py'
model = dict(
    backbone=dict(arch='s', drop_path_rate=0.5),
    neck=dict(in_channels=[96, 192, 384, 768]),
)
