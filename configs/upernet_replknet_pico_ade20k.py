"""UPerNet with RepLKNet-pico and narrow heads on ADE20K: 40k iterations, 256x256 crops, tested on whole images.

Ours, for CPUs, demonstrations and tests. Nobody publishes weights of this size, so it starts from random ones, without
drop path or layer decay and at a higher learning rate.
Global batch 8: 1 GPU x 8 images.
"""

_base_ = [
    '_base_/models/upernet.py',
    '_base_/datasets/ade20k_small.py',
    '_base_/schedules/seg_40k.py',
    '_base_/runtime.py',
]
model = dict(
    data_preprocessor=dict(size=(256, 256)),
    backbone=dict(type='RepLKNet', arch='pico', drop_path_rate=0.0),
    decode_head=dict(in_channels=[64, 128, 256, 512], channels=64, num_classes=150),
    auxiliary_head=dict(in_channels=256, channels=32, num_classes=150),
)
optim_wrapper = dict(
    optimizer=dict(lr=5e-4),
    paramwise_cfg=dict(norm_decay_mult=0),
)
train_dataloader = dict(batch_size=8)
auto_scale_lr = dict(enable=False, base_batch_size=8)
