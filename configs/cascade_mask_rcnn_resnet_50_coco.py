"""Cascade Mask R-CNN with ResNet-50 on COCO: 36 epochs (3x), multi-scale 480 to 800 with crops.

A comparator: mmdetection's own backbone with the optimizer that Swin's authors give ResNet-50 in their comparison
(AdamW instead of SGD), so that only the backbone differs. Weights that fit: `torchvision://resnet50`.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = [
    '_base_/models/cascade_mask_rcnn.py',
    '_base_/datasets/coco.py',
    '_base_/schedules/det_3x.py',
    '_base_/runtime.py',
]
model = dict(
    backbone=dict(type='ResNet', depth=50, frozen_stages=1, norm_eval=True),
    neck=dict(in_channels=[256, 512, 1024, 2048]),
)
optim_wrapper = dict(
    optimizer=dict(lr=1e-4),
    paramwise_cfg=dict(norm_decay_mult=0),
)
train_dataloader = dict(batch_size=2)
auto_scale_lr = dict(enable=False, base_batch_size=16)
