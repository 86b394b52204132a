"""UPerNet with UniRepLKNet-T on ADE20K: 160k iterations, 512x512 crops, sliding window.

The recipe of UniRepLKNet's authors for ImageNet-1K weights, in single precision; they report 48.6 mIoU.
Their layer decay of 1.0 means no decay.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = [
    '_base_/models/upernet.py',
    '_base_/datasets/ade20k.py',
    '_base_/schedules/seg_160k.py',
    '_base_/runtime.py',
]
crop_size = (512, 512)
model = dict(
    backbone=dict(type='UniRepLKNet', arch='t', drop_path_rate=0.2),
    decode_head=dict(in_channels=[80, 160, 320, 640], num_classes=150),
    auxiliary_head=dict(in_channels=320, num_classes=150),
    test_cfg=dict(mode='slide', crop_size=crop_size, stride=(341, 341)),
)
optim_wrapper = dict(
    optimizer=dict(lr=1e-4),
)
train_dataloader = dict(batch_size=2)
auto_scale_lr = dict(enable=False, base_batch_size=16)
