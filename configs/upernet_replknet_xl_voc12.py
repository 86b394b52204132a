"""UPerNet with RepLKNet-XL on Pascal VOC 2012 + augmented set: 20k iterations, 512x512 crops, sliding window.

RepLKNet's authors have no VOC segmentation recipe: this is their ADE20K one at 512x512, at the batch of RepLKNet-XL's
and for as many images as mmsegmentation's 40k iterations of 16.
Global batch 32: 16 GPUs x 2 images.
"""

_base_ = 'upernet_replknet_31b_voc12.py'
crop_size = (512, 512)
model = dict(
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),
    backbone=dict(arch='xl', norm_outputs=True),
    decode_head=dict(in_channels=[256, 512, 1024, 2048]),
    auxiliary_head=dict(in_channels=1024),
    test_cfg=dict(mode='slide', crop_size=crop_size, stride=(341, 341)),
)
