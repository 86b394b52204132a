"""Cascade Mask R-CNN with SLaK-B on COCO: 36 epochs (3x), multi-scale 480 to 800 with crops.

SLaK's authors have a COCO recipe for SLaK-T only, which is that of ConvNeXt-T: this is theirs with the drop path and
decay rate of ConvNeXt-B. Trained densely, without their sparse masks.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = 'cascade_mask_rcnn_slak_t_coco.py'
model = dict(
    backbone=dict(arch='base', drop_path_rate=0.7),
    neck=dict(in_channels=[166, 332, 665, 1331]),
)
optim_wrapper = dict(paramwise_cfg=dict(decay_rate=0.8))
