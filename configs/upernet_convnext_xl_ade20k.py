"""UPerNet with ConvNeXt-XL on ADE20K: 160k iterations, 640x640 crops, sliding window.

The recipe of ConvNeXt's authors for ImageNet-22K weights, in single precision; they report 53.6 mIoU.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = 'upernet_convnext_l_ade20k.py'
model = dict(
    backbone=dict(arch='xlarge'),
    decode_head=dict(in_channels=[256, 512, 1024, 2048]),
    auxiliary_head=dict(in_channels=1024),
)
optim_wrapper = dict(optimizer=dict(lr=8e-5))
