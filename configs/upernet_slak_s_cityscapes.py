"""UPerNet with SLaK-S on Cityscapes: 160k iterations, 512x1024 crops, tested on whole images.

SLaK's authors have no Cityscapes recipe: this is their ADE20K one with InternImage's crops and schedule. Trained
densely, without their sparse masks.
Global batch 16: 4 GPUs x 4 images.
"""

_base_ = 'upernet_slak_t_cityscapes.py'
model = dict(backbone=dict(arch='small', drop_path_rate=0.3))
