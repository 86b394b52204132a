"""UPerNet with RepLKNet-31B on Cityscapes: 40k iterations, 512x1024 crops, tested on whole images.

The Cityscapes recipe of RepLKNet's authors (upernet_replknet_31b_cityscapes_769.py) at the crop of the other
backbones, for as many images as they see in 160k iterations of 16.
Global batch 64: 32 GPUs x 2 images.
"""

_base_ = [
    '_base_/models/upernet.py',
    '_base_/datasets/cityscapes.py',
    '_base_/schedules/seg_40k.py',
    '_base_/runtime.py',
]
crop_size = (512, 1024)
model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(type='RepLKNet', arch='31b', drop_path_rate=0.5, with_cp=True),
    decode_head=dict(in_channels=[128, 256, 512, 1024], num_classes=19),
    auxiliary_head=dict(in_channels=512, num_classes=19),
)
optim_wrapper = dict(
    optimizer=dict(lr=2e-4),
    paramwise_cfg=dict(norm_decay_mult=0),
)
train_dataloader = dict(batch_size=2)
auto_scale_lr = dict(enable=False, base_batch_size=64)
