"""Cascade Mask R-CNN with Swin-S on COCO: 36 epochs (3x), multi-scale 480 to 800 with crops.

A comparator: the recipe of Swin's authors, whose weights fit, in mixed precision (51.9 box and 45.0 mask AP).
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = [
    '_base_/models/cascade_mask_rcnn.py',
    '_base_/datasets/coco.py',
    '_base_/schedules/det_3x.py',
    '_base_/runtime.py',
]
model = dict(
    backbone=dict(
        type='SwinTransformer',
        embed_dims=96,
        depths=(2, 2, 18, 2),
        num_heads=(3, 6, 12, 24),
        drop_path_rate=0.2,
        convert_weights=True,
    ),
    neck=dict(in_channels=[96, 192, 384, 768]),
)
optim_wrapper = dict(
    type='AmpOptimWrapper',
    optimizer=dict(lr=1e-4),
    paramwise_cfg=dict(custom_keys={'relative_position_bias_table': dict(decay_mult=0), 'norm': dict(decay_mult=0)}),
)
train_dataloader = dict(batch_size=2)
auto_scale_lr = dict(enable=False, base_batch_size=16)
