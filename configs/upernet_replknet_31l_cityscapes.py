"""UPerNet with RepLKNet-31L on Cityscapes: 40k iterations, 512x1024 crops, tested on whole images.

RepLKNet's authors have a Cityscapes recipe for RepLKNet-31B only: this is upernet_replknet_31b_cityscapes.py with the
drop path of their ADE20K one.
Global batch 64: 32 GPUs x 2 images.
"""

_base_ = 'upernet_replknet_31b_cityscapes.py'
model = dict(
    backbone=dict(arch='31l', drop_path_rate=0.3),
    decode_head=dict(in_channels=[192, 384, 768, 1536]),
    auxiliary_head=dict(in_channels=768),
)
