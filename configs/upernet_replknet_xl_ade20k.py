"""UPerNet with RepLKNet-XL on ADE20K: 160k iterations, 640x640 crops, sliding window.

The recipe of RepLKNet's authors for MegData73M weights, with the mean and std of that pretraining; they report 55.2
mIoU. The crops grow to 640 but the images are resized as for 512.
Global batch 32: 16 GPUs x 2 images.
"""

_base_ = [
    '_base_/models/upernet.py',
    '_base_/datasets/ade20k.py',
    '_base_/schedules/seg_160k.py',
    '_base_/runtime.py',
]
crop_size = (640, 640)
_base_.train_pipeline[3].crop_size = crop_size
model = dict(
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3, size=crop_size),
    backbone=dict(type='RepLKNet', arch='xl', drop_path_rate=0.5, with_cp=True, norm_outputs=True),
    decode_head=dict(in_channels=[256, 512, 1024, 2048], num_classes=150),
    auxiliary_head=dict(in_channels=1024, num_classes=150),
    test_cfg=dict(mode='slide', crop_size=crop_size, stride=(426, 426)),
)
optim_wrapper = dict(
    optimizer=dict(lr=2e-4),
    paramwise_cfg=dict(norm_decay_mult=0),
)
train_dataloader = dict(batch_size=2, dataset=dict(pipeline=_base_.train_pipeline))
auto_scale_lr = dict(enable=False, base_batch_size=32)
