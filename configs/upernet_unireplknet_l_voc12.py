"""UPerNet with UniRepLKNet-L on Pascal VOC 2012 + augmented set: 40k iterations, 512x512 crops, sliding window.

UniRepLKNet's authors have no VOC segmentation recipe: this is their ADE20K one at 512x512 with
mmsegmentation's VOC schedule.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = 'upernet_unireplknet_t_voc12.py'
model = dict(
    backbone=dict(arch='l', drop_path_rate=0.4, with_cp=True),
    decode_head=dict(in_channels=[192, 384, 768, 1536]),
    auxiliary_head=dict(in_channels=768),
)
optim_wrapper = dict(
    constructor='LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(decay_type='layer_wise', decay_rate=0.85),
)
