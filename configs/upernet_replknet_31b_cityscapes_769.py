"""UPerNet with RepLKNet-31B on Cityscapes: 20k iterations, 769x769 crops, tested on whole images.

The recipe of RepLKNet's authors for ImageNet-1K weights (for 8 GPUs they give 80k iterations); they report 83.1 mIoU.
Global batch 64: 32 GPUs x 2 images.
"""

_base_ = [
    '_base_/models/upernet.py',
    '_base_/datasets/cityscapes_769.py',
    '_base_/schedules/seg_20k.py',
    '_base_/runtime.py',
]
crop_size = (769, 769)
model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(type='RepLKNet', arch='31b', drop_path_rate=0.5, with_cp=True),
    decode_head=dict(in_channels=[128, 256, 512, 1024], num_classes=19, align_corners=True),
    auxiliary_head=dict(in_channels=512, num_classes=19, align_corners=True),
)
optim_wrapper = dict(
    optimizer=dict(lr=2e-4),
    paramwise_cfg=dict(norm_decay_mult=0),
)
train_dataloader = dict(batch_size=2)
auto_scale_lr = dict(enable=False, base_batch_size=64)
