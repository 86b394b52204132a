"""Cascade Mask R-CNN with SLaK-B on COCO: 36 epochs (3x), multi-scale 480 to 800 with crops.

SLaK's authors have a COCO recipe for SLaK-T only, which is that of ConvNeXt-T: this is theirs with the drop path and
decay rate of ConvNeXt-B. Trained densely, without their sparse masks.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = [
    '_base_/models/cascade_mask_rcnn.py',
    '_base_/datasets/coco.py',
    '_base_/schedules/det_3x.py',
    '_base_/runtime.py',
]
model = dict(
    backbone=dict(type='SLaK', arch='base', drop_path_rate=0.7),
    neck=dict(in_channels=[166, 332, 665, 1331]),
)
optim_wrapper = dict(
    optimizer=dict(lr=2e-4),
    constructor='LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(decay_type='layer_wise', decay_rate=0.8),
)
train_dataloader = dict(batch_size=2)
auto_scale_lr = dict(enable=False, base_batch_size=16)
