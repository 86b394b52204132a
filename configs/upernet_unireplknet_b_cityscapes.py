"""UPerNet with UniRepLKNet-B on Cityscapes: 160k iterations, 512x1024 crops, tested on whole images.

UniRepLKNet's authors have no Cityscapes recipe: this is their ADE20K one with InternImage's crops and schedule.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = 'upernet_unireplknet_t_cityscapes.py'
model = dict(
    backbone=dict(arch='b', drop_path_rate=0.3, with_cp=True),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
    auxiliary_head=dict(in_channels=512),
)
optim_wrapper = dict(
    constructor='LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(decay_type='layer_wise', decay_rate=0.9),
)
