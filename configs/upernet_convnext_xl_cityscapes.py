"""UPerNet with ConvNeXt-XL on Cityscapes: 160k iterations, 512x1024 crops, tested on whole images.

ConvNeXt's authors have no Cityscapes recipe: this is their ADE20K one with InternImage's crops and schedule.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = 'upernet_convnext_t_cityscapes.py'
model = dict(
    backbone=dict(arch='xlarge'),
    decode_head=dict(in_channels=[256, 512, 1024, 2048]),
    auxiliary_head=dict(in_channels=1024),
)
# ConvNeXt's authors train this size in single precision.
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(lr=8e-5))
