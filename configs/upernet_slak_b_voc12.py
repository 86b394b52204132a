"""UPerNet with SLaK-B on Pascal VOC 2012 + augmented set: 40k iterations, 512x512 crops, sliding window.

SLaK's authors have no VOC segmentation recipe: this is their ADE20K one with mmsegmentation's VOC schedule. Trained
densely, without their sparse masks.
Global batch 16: 4 GPUs x 4 images.
"""

_base_ = 'upernet_slak_t_voc12.py'
model = dict(
    backbone=dict(arch='base'),
    decode_head=dict(in_channels=[166, 332, 665, 1331]),
    auxiliary_head=dict(in_channels=665),
)
