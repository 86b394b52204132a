"""UPerNet with Swin-T on ADE20K: 160k iterations, 512x512 crops, tested on whole images.

A comparator: mmsegmentation's own backbone in the recipe of Swin's authors for ImageNet-1K weights (44.5 mIoU).
Weights that fit: theirs, converted by mmsegmentation's swin2mmseg.py.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = [
    '_base_/models/upernet.py',
    '_base_/datasets/ade20k.py',
    '_base_/schedules/seg_160k.py',
    '_base_/runtime.py',
]
model = dict(
    backbone=dict(
        type='SwinTransformer', embed_dims=96, depths=(2, 2, 6, 2), num_heads=(3, 6, 12, 24), drop_path_rate=0.3
    ),
    decode_head=dict(in_channels=[96, 192, 384, 768], num_classes=150),
    auxiliary_head=dict(in_channels=384, num_classes=150),
)
optim_wrapper = dict(
    optimizer=dict(lr=6e-5, weight_decay=0.01),
    paramwise_cfg=dict(custom_keys={'relative_position_bias_table': dict(decay_mult=0), 'norm': dict(decay_mult=0)}),
)
train_dataloader = dict(batch_size=2)
auto_scale_lr = dict(enable=False, base_batch_size=16)
