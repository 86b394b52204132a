"""UPerNet with UniRepLKNet-S on Cityscapes: 160k iterations, 512x1024 crops, tested on whole images.

UniRepLKNet's authors have no Cityscapes recipe: this is their ADE20K one with InternImage's crops and schedule.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = [
    '_base_/models/upernet.py',
    '_base_/datasets/cityscapes.py',
    '_base_/schedules/seg_160k.py',
    '_base_/runtime.py',
]
crop_size = (512, 1024)
model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(type='UniRepLKNet', arch='s', drop_path_rate=0.3, with_cp=True),
    decode_head=dict(in_channels=[96, 192, 384, 768], num_classes=19),
    auxiliary_head=dict(in_channels=384, num_classes=19),
)
optim_wrapper = dict(
    optimizer=dict(lr=1e-4),
    constructor='LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(decay_type='layer_wise', decay_rate=0.9),
)
train_dataloader = dict(batch_size=2)
auto_scale_lr = dict(enable=False, base_batch_size=16)
