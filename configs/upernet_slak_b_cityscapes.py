"""UPerNet with SLaK-B on Cityscapes: 160k iterations, 512x1024 crops, tested on whole images.

SLaK's authors have no Cityscapes recipe: this is their ADE20K one with InternImage's crops and schedule. Trained
densely, without their sparse masks.
Global batch 16: 4 GPUs x 4 images.
"""

_base_ = 'upernet_slak_t_cityscapes.py'
model = dict(
    backbone=dict(arch='base'),
    decode_head=dict(in_channels=[166, 332, 665, 1331]),
    auxiliary_head=dict(in_channels=665),
)
