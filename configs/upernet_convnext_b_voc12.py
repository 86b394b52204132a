"""UPerNet with ConvNeXt-B on Pascal VOC 2012 + augmented set: 40k iterations, 512x512 crops, sliding window.

ConvNeXt's authors have no VOC segmentation recipe: this is their ADE20K one with mmsegmentation's VOC schedule.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = 'upernet_convnext_t_voc12.py'
model = dict(
    backbone=dict(arch='base'),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
    auxiliary_head=dict(in_channels=512),
)
