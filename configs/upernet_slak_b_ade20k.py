"""UPerNet with SLaK-B on ADE20K: 160k iterations, 512x512 crops, sliding window.

The recipe of SLaK's authors for ImageNet-1K weights, but trained densely: in their runs (50.0 mIoU) 40 % of the
backbone's weights stay zero.
Global batch 16: 4 GPUs x 4 images.
"""

_base_ = 'upernet_slak_t_ade20k.py'
model = dict(
    backbone=dict(arch='base'),
    decode_head=dict(in_channels=[166, 332, 665, 1331]),
    auxiliary_head=dict(in_channels=665),
)
