"""UPerNet with UniRepLKNet-S on ADE20K: 160k iterations, 512x512 crops, sliding window.

The recipe of UniRepLKNet's authors for ImageNet-1K weights, in single precision; they report 50.5 mIoU, and
51.9 for ImageNet-22K weights.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = 'upernet_unireplknet_t_ade20k.py'
model = dict(
    backbone=dict(arch='s', drop_path_rate=0.3, with_cp=True),
    decode_head=dict(in_channels=[96, 192, 384, 768]),
    auxiliary_head=dict(in_channels=384),
)
optim_wrapper = dict(
    constructor='LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(decay_type='layer_wise', decay_rate=0.9),
)
