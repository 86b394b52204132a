"""Cascade Mask R-CNN with SLaK-S on COCO: 36 epochs (3x), multi-scale 480 to 800 with crops.

SLaK's authors have a COCO recipe for SLaK-T only, which is that of ConvNeXt-T: this is theirs with the drop path of
ConvNeXt-S. Trained densely, without their sparse masks.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = 'cascade_mask_rcnn_slak_t_coco.py'
model = dict(backbone=dict(arch='small', drop_path_rate=0.6))
