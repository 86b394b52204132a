"""UPerNet with RepLKNet-31B on Pascal VOC 2012 + augmented set: 20k iterations, 512x512 crops, tested on whole images.

RepLKNet's authors have no VOC segmentation recipe: this is their ADE20K one, at the batch of RepLKNet-XL's and for as
many images as mmsegmentation's 40k iterations of 16.
Global batch 32: 16 GPUs x 2 images.
"""

_base_ = [
    '_base_/models/upernet.py',
    '_base_/datasets/voc12.py',
    '_base_/schedules/seg_20k.py',
    '_base_/runtime.py',
]
model = dict(
    backbone=dict(type='RepLKNet', arch='31b', drop_path_rate=0.5, with_cp=True),
    decode_head=dict(in_channels=[128, 256, 512, 1024], num_classes=21),
    auxiliary_head=dict(in_channels=512, num_classes=21),
)
optim_wrapper = dict(
    optimizer=dict(lr=2e-4),
    paramwise_cfg=dict(norm_decay_mult=0),
)
train_dataloader = dict(batch_size=2)
auto_scale_lr = dict(enable=False, base_batch_size=32)
