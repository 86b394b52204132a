"""Cascade Mask R-CNN with UniRepLKNet-B on COCO: 36 epochs (3x), multi-scale 480 to 800 with crops.

The recipe of UniRepLKNet's authors for ImageNet-22K weights, in single precision; they report 54.8 box and 47.4
mask AP.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = 'cascade_mask_rcnn_unireplknet_t_coco.py'
model = dict(
    backbone=dict(arch='b', drop_path_rate=0.6),
    neck=dict(in_channels=[128, 256, 512, 1024]),
)
