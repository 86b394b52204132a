"""Cascade Mask R-CNN with RepLKNet-XL on COCO: 36 epochs (3x), multi-scale 480 to 800 with crops.

The recipe of RepLKNet's authors for MegData73M weights, with the mean and std of that pretraining; they report 55.5
box and 48.0 mask AP. They do not state the number of GPUs: we read 8, so that lr over batch is that of ConvNeXt-T.
Global batch 32: 8 GPUs x 4 images.
"""

_base_ = [
    '_base_/models/cascade_mask_rcnn.py',
    '_base_/datasets/coco.py',
    '_base_/schedules/det_3x.py',
    '_base_/runtime.py',
]
model = dict(
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),
    backbone=dict(type='RepLKNet', arch='xl', drop_path_rate=0.5, with_cp=True, norm_outputs=True),
    neck=dict(in_channels=[256, 512, 1024, 2048]),
)
optim_wrapper = dict(
    optimizer=dict(lr=4e-4),
    paramwise_cfg=dict(norm_decay_mult=0),
)
train_dataloader = dict(batch_size=4)
auto_scale_lr = dict(enable=False, base_batch_size=32)
