"""UPerNet with Swin-B on Cityscapes: 160k iterations, 512x1024 crops, tested on whole images.

A comparator: Swin's authors have no Cityscapes recipe; this is their ADE20K one with InternImage's crops and
schedule. Weights that fit: theirs, converted by mmsegmentation's swin2mmseg.py.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = 'upernet_swin_t_cityscapes.py'
model = dict(
    backbone=dict(embed_dims=128, depths=(2, 2, 18, 2), num_heads=(4, 8, 16, 32)),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
    auxiliary_head=dict(in_channels=512),
)
