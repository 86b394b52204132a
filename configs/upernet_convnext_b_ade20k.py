"""UPerNet with ConvNeXt-B on ADE20K: 160k iterations, 512x512 crops, sliding window.

The recipe of ConvNeXt's authors for ImageNet-1K weights, in mixed precision; they report 49.1 mIoU. For ImageNet-22K
weights (52.6 mIoU) they take the data set and the window of upernet_convnext_l_ade20k.py.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = 'upernet_convnext_t_ade20k.py'
model = dict(
    backbone=dict(arch='base'),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
    auxiliary_head=dict(in_channels=512),
)
