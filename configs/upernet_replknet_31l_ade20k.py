"""UPerNet with RepLKNet-31L on ADE20K: 80k iterations, 640x640 crops, sliding window.

The recipe of RepLKNet's authors for ImageNet-22K weights; they report 52.4 mIoU. The crops grow to 640 but the images
are resized as for 512.
Global batch 64: 64 GPUs x 1 image.
"""

_base_ = [
    '_base_/models/upernet.py',
    '_base_/datasets/ade20k.py',
    '_base_/schedules/seg_80k.py',
    '_base_/runtime.py',
]
crop_size = (640, 640)
_base_.train_pipeline[3].crop_size = crop_size
model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(type='RepLKNet', arch='31l', drop_path_rate=0.3, with_cp=True),
    decode_head=dict(in_channels=[192, 384, 768, 1536], num_classes=150),
    auxiliary_head=dict(in_channels=768, num_classes=150),
    test_cfg=dict(mode='slide', crop_size=crop_size, stride=(426, 426)),
)
optim_wrapper = dict(
    optimizer=dict(lr=2e-4),
    paramwise_cfg=dict(norm_decay_mult=0),
)
train_dataloader = dict(batch_size=1, dataset=dict(pipeline=_base_.train_pipeline))
auto_scale_lr = dict(enable=False, base_batch_size=64)
