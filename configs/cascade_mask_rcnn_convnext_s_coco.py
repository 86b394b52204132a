"""Cascade Mask R-CNN with ConvNeXt-S on COCO: 36 epochs (3x), multi-scale 480 to 800 with crops.

The recipe of ConvNeXt's authors for ImageNet-1K weights, in mixed precision; they report 51.9 box and 45.0 mask AP.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = 'cascade_mask_rcnn_convnext_t_coco.py'
model = dict(backbone=dict(arch='small', drop_path_rate=0.6))
