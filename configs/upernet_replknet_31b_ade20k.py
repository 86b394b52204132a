"""UPerNet with RepLKNet-31B on ADE20K: 40k iterations, 512x512 crops, tested on whole images.

The recipe of RepLKNet's authors for ImageNet-1K weights; they report 49.9 mIoU. It sees twice as many images as 160k
iterations of 16. For ImageNet-22K weights (51.5 mIoU) they take drop_path_rate=0.3 and the crops and the window of
upernet_replknet_31l_ade20k.py.
Global batch 128: 64 GPUs x 2 images.
"""

_base_ = [
    '_base_/models/upernet.py',
    '_base_/datasets/ade20k.py',
    '_base_/schedules/seg_40k.py',
    '_base_/runtime.py',
]
model = dict(
    backbone=dict(type='RepLKNet', arch='31b', drop_path_rate=0.5, with_cp=True),
    decode_head=dict(in_channels=[128, 256, 512, 1024], num_classes=150),
    auxiliary_head=dict(in_channels=512, num_classes=150),
)
optim_wrapper = dict(
    optimizer=dict(lr=2e-4),
    paramwise_cfg=dict(norm_decay_mult=0),
)
train_dataloader = dict(batch_size=2)
auto_scale_lr = dict(enable=False, base_batch_size=128)
