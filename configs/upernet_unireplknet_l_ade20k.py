"""UPerNet with UniRepLKNet-L on ADE20K: 160k iterations, 640x640 crops, sliding window.

The recipe of UniRepLKNet's authors for ImageNet-22K weights, in single precision; they report 54.5 mIoU.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = 'upernet_unireplknet_b_ade20k.py'
model = dict(
    backbone=dict(arch='l', drop_path_rate=0.4),
    decode_head=dict(in_channels=[192, 384, 768, 1536]),
    auxiliary_head=dict(in_channels=768),
)
optim_wrapper = dict(paramwise_cfg=dict(decay_rate=0.85))
