"""UPerNet with UniRepLKNet-XL on ADE20K: 160k iterations, 640x640 crops, sliding window.

There is no config of UniRepLKNet's authors for this size, who report 55.2 mIoU: this is their one of UniRepLKNet-L, for
ImageNet-22K weights.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = [
    '_base_/models/upernet.py',
    '_base_/datasets/ade20k_640.py',
    '_base_/schedules/seg_160k.py',
    '_base_/runtime.py',
]
crop_size = (640, 640)
model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(type='UniRepLKNet', arch='xl', drop_path_rate=0.4, with_cp=True),
    decode_head=dict(in_channels=[256, 512, 1024, 2048], num_classes=150),
    auxiliary_head=dict(in_channels=1024, num_classes=150),
    test_cfg=dict(mode='slide', crop_size=crop_size, stride=(426, 426)),
)
optim_wrapper = dict(
    optimizer=dict(lr=1e-4),
    constructor='LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(decay_type='layer_wise', decay_rate=0.85),
)
train_dataloader = dict(batch_size=2)
auto_scale_lr = dict(enable=False, base_batch_size=16)
