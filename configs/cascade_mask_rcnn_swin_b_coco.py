"""Cascade Mask R-CNN with Swin-B on COCO: 36 epochs (3x), multi-scale 480 to 800 with crops.

A comparator: the recipe of Swin's authors, whose weights fit, in mixed precision (51.9 box and 45.0 mask AP).
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = 'cascade_mask_rcnn_swin_t_coco.py'
model = dict(
    backbone=dict(embed_dims=128, depths=(2, 2, 18, 2), num_heads=(4, 8, 16, 32), drop_path_rate=0.3),
    neck=dict(in_channels=[128, 256, 512, 1024]),
)
