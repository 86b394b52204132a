"""UPerNet with ConvNeXt-L on Cityscapes: 160k iterations, 512x1024 crops, tested on whole images.

ConvNeXt's authors have no Cityscapes recipe: this is their ADE20K one with InternImage's crops and schedule.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = 'upernet_convnext_t_cityscapes.py'
model = dict(
    backbone=dict(arch='large'),
    decode_head=dict(in_channels=[192, 384, 768, 1536]),
    auxiliary_head=dict(in_channels=768),
)
# ConvNeXt's authors train this size in single precision.
optim_wrapper = dict(type='OptimWrapper')
