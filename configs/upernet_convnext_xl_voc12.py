"""UPerNet with ConvNeXt-XL on Pascal VOC 2012 + augmented set: 40k iterations, 512x512 crops, sliding window.

ConvNeXt's authors have no VOC segmentation recipe: this is their ADE20K one at 512x512 with mmsegmentation's VOC
schedule.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = 'upernet_convnext_t_voc12.py'
model = dict(
    backbone=dict(arch='xlarge'),
    decode_head=dict(in_channels=[256, 512, 1024, 2048]),
    auxiliary_head=dict(in_channels=1024),
)
# ConvNeXt's authors train this size in single precision.
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(lr=8e-5))
