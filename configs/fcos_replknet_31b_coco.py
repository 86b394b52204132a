"""FCOS with RepLKNet-31B on COCO: 24 epochs (2x), short side 640 or 800.

The recipe of RepLKNet's authors for ImageNet-1K weights; they report 47.0 box AP. They do not state the number of
GPUs: we assume 8, as is usual in mmdetection.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = [
    '_base_/models/fcos.py',
    '_base_/datasets/coco_boxes.py',
    '_base_/schedules/det_2x.py',
    '_base_/runtime.py',
]
model = dict(
    backbone=dict(type='RepLKNet', arch='31b', drop_path_rate=0.5, with_cp=True),
    neck=dict(in_channels=[128, 256, 512, 1024]),
)
optim_wrapper = dict(
    optimizer=dict(lr=2e-4),
    paramwise_cfg=dict(norm_decay_mult=0),
    clip_grad=dict(max_norm=35, norm_type=2),
)
train_dataloader = dict(batch_size=2)
auto_scale_lr = dict(enable=False, base_batch_size=16)
