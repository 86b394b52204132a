"""UPerNet with UniRepLKNet-XL on ADE20K: 160k iterations, 640x640 crops, sliding window.

UniRepLKNet's authors report 55.2 mIoU but publish no config for this size: this is the recipe of their UniRepLKNet-L,
for ImageNet-22K weights.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = 'upernet_unireplknet_b_ade20k.py'
model = dict(
    backbone=dict(arch='xl', drop_path_rate=0.4),
    decode_head=dict(in_channels=[256, 512, 1024, 2048]),
    auxiliary_head=dict(in_channels=1024),
)
optim_wrapper = dict(paramwise_cfg=dict(decay_rate=0.85))
