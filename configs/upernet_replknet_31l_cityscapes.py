"""UPerNet with RepLKNet-31L on Cityscapes: 40k iterations, 512x1024 crops, tested on whole images.

RepLKNet's authors have a Cityscapes recipe for RepLKNet-31B only: this is upernet_replknet_31b_cityscapes.py with the
drop path of their ADE20K one.
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
    backbone=dict(type='RepLKNet', arch='31l', drop_path_rate=0.3, with_cp=True),
    decode_head=dict(in_channels=[192, 384, 768, 1536], num_classes=19),
    auxiliary_head=dict(in_channels=768, num_classes=19),
)
optim_wrapper = dict(
    optimizer=dict(lr=2e-4),
    paramwise_cfg=dict(norm_decay_mult=0),
)
train_dataloader = dict(batch_size=2)
auto_scale_lr = dict(enable=False, base_batch_size=64)
