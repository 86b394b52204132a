"""UPerNet with UniRepLKNet-S on Pascal VOC 2012 + augmented set: 40k iterations, 512x512 crops, sliding window.

UniRepLKNet's authors have no VOC segmentation recipe: this is their ADE20K one with
mmsegmentation's VOC schedule.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = 'upernet_unireplknet_t_voc12.py'
model = dict(
    backbone=dict(arch='s', drop_path_rate=0.3, with_cp=True),
    decode_head=dict(in_channels=[96, 192, 384, 768]),
    auxiliary_head=dict(in_channels=384),
)
optim_wrapper = dict(
    constructor='LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(decay_type='layer_wise', decay_rate=0.9),
)
