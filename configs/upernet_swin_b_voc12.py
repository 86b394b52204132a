"""UPerNet with Swin-B on Pascal VOC 2012 + augmented set: 40k iterations, 512x512 crops, tested on whole images.

A comparator: Swin's authors have no VOC segmentation recipe; this is their ADE20K one with mmsegmentation's VOC
schedule. Weights that fit: theirs, converted by mmsegmentation's swin2mmseg.py.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = 'upernet_swin_t_voc12.py'
model = dict(
    backbone=dict(embed_dims=128, depths=(2, 2, 18, 2), num_heads=(4, 8, 16, 32)),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
    auxiliary_head=dict(in_channels=512),
)
