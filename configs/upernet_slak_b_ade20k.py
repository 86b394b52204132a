"""UPerNet with SLaK-B on ADE20K: 160k iterations, 512x512 crops, sliding window.

The recipe of SLaK's authors for ImageNet-1K weights, but trained densely: in their runs (50.0 mIoU) 40 % of the
backbone's weights stay zero.
Global batch 16: 4 GPUs x 4 images.
"""

_base_ = [
    '_base_/models/upernet.py',
    '_base_/datasets/ade20k.py',
    '_base_/schedules/seg_160k.py',
    '_base_/runtime.py',
]
crop_size = (512, 512)
model = dict(
    backbone=dict(type='SLaK', arch='base', drop_path_rate=0.4),
    decode_head=dict(in_channels=[166, 332, 665, 1331], num_classes=150),
    auxiliary_head=dict(in_channels=665, num_classes=150),
    test_cfg=dict(mode='slide', crop_size=crop_size, stride=(341, 341)),
)
optim_wrapper = dict(
    optimizer=dict(lr=1e-4),
    constructor='LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(decay_type='stage_wise', decay_rate=0.9),
)
train_dataloader = dict(batch_size=4)
auto_scale_lr = dict(enable=False, base_batch_size=16)
