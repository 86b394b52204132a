"""UPerNet with Swin-T on Cityscapes: 160k iterations, 512x1024 crops, tested on whole images.

A comparator: Swin's authors have no Cityscapes recipe; this is their ADE20K one with InternImage's crops and
schedule. Weights that fit: theirs, converted by mmsegmentation's swin2mmseg.py.
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
    backbone=dict(
        type='SwinTransformer', embed_dims=96, depths=(2, 2, 6, 2), num_heads=(3, 6, 12, 24), drop_path_rate=0.3
    ),
    decode_head=dict(in_channels=[96, 192, 384, 768], num_classes=19),
    auxiliary_head=dict(in_channels=384, num_classes=19),
)
optim_wrapper = dict(
    optimizer=dict(lr=6e-5, weight_decay=0.01),
    paramwise_cfg=dict(custom_keys={'relative_position_bias_table': dict(decay_mult=0), 'norm': dict(decay_mult=0)}),
)
train_dataloader = dict(batch_size=2)
auto_scale_lr = dict(enable=False, base_batch_size=16)
