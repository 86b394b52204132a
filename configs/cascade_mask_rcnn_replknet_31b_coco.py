"""Cascade Mask R-CNN with RepLKNet-31B on COCO: 36 epochs (3x), multi-scale 480 to 800 with crops.

The recipe of RepLKNet's authors for ImageNet-1K weights; they report 52.2 box and 45.2 mask AP. For ImageNet-22K
weights (53.0 and 46.0) they take drop_path_rate=0.4. They do not state the number of GPUs: we assume 32, so that
lr over batch is that of ConvNeXt-T.
Global batch 32: 32 GPUs x 1 image.
"""

_base_ = [
    '_base_/models/cascade_mask_rcnn.py',
    '_base_/datasets/coco.py',
    '_base_/schedules/det_3x.py',
    '_base_/runtime.py',
]
model = dict(
    backbone=dict(type='RepLKNet', arch='31b', drop_path_rate=0.6, with_cp=True),
    neck=dict(in_channels=[128, 256, 512, 1024]),
)
optim_wrapper = dict(
    optimizer=dict(lr=4e-4),
    paramwise_cfg=dict(norm_decay_mult=0),
)
train_dataloader = dict(batch_size=1)
auto_scale_lr = dict(enable=False, base_batch_size=32)
