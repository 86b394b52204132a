"""UPerNet with RepLKNet-XL on Cityscapes: 80k iterations, 512x1024 crops, tested on whole images.

RepLKNet's authors have a Cityscapes recipe for RepLKNet-31B only: this is their ADE20K one for RepLKNet-XL, for as
many images as the other backbones see in 160k iterations of 16.
Global batch 32: 16 GPUs x 2 images.
"""

_base_ = [
    '_base_/models/upernet.py',
    '_base_/datasets/cityscapes.py',
    '_base_/schedules/seg_80k.py',
    '_base_/runtime.py',
]
crop_size = (512, 1024)
model = dict(
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3, size=crop_size),
    backbone=dict(type='RepLKNet', arch='xl', drop_path_rate=0.5, with_cp=True, norm_outputs=True),
    decode_head=dict(in_channels=[256, 512, 1024, 2048], num_classes=19),
    auxiliary_head=dict(in_channels=1024, num_classes=19),
)
optim_wrapper = dict(
    optimizer=dict(lr=2e-4),
    paramwise_cfg=dict(norm_decay_mult=0),
)
train_dataloader = dict(batch_size=2)
auto_scale_lr = dict(enable=False, base_batch_size=32)
