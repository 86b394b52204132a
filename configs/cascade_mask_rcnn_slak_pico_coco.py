"""Cascade Mask R-CNN with SLaK-pico and narrow heads on COCO: 36 epochs (3x), images of at most 512x320.

Ours, for CPUs, demonstrations and tests. Nobody publishes weights of this size, so it starts from random ones, without
drop path or layer decay and at a higher learning rate.
Global batch 8: 1 GPU x 8 images.
"""

_base_ = [
    '_base_/models/cascade_mask_rcnn_narrow.py',
    '_base_/datasets/coco_small.py',
    '_base_/schedules/det_3x.py',
    '_base_/runtime.py',
]
model = dict(
    backbone=dict(type='SLaK', arch='pico', drop_path_rate=0.0),
    neck=dict(in_channels=[83, 166, 332, 665]),
)
optim_wrapper = dict(
    optimizer=dict(lr=5e-4),
)
train_dataloader = dict(batch_size=8)
auto_scale_lr = dict(enable=False, base_batch_size=8)
