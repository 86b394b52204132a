"""UPerNet with ConvNeXt-S on ADE20K: 160k iterations, 512x512 crops, sliding window.

The recipe of ConvNeXt's authors for ImageNet-1K weights, in mixed precision; they report 48.7 mIoU.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = 'upernet_convnext_t_ade20k.py'
model = dict(backbone=dict(arch='small', drop_path_rate=0.3))
