"""Cascade Mask R-CNN with narrow heads and any backbone of pico's widths on nuclei at 256x256: 2 epochs of 200 images.

A study sets the backbone. Validation runs once, at the end.
"""

_base_ = '../examples/cascade_mask_rcnn_slak_pico_nuclei.py'
scale = (256, 256)
_base_.train_pipeline[2] = dict(type='Resize', scale=scale, keep_ratio=True)
_base_.test_pipeline[1].scale = scale
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
model = dict(
    backbone=dict(_delete_=True, type='ConvNeXt', arch='pico', drop_path_rate=0.0),
    neck=dict(in_channels=[64, 128, 256, 512]),
)
train_cfg = dict(max_epochs=2, val_interval=2)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=20),
    dict(type='MultiStepLR', gamma=0.1, milestones=[75], by_epoch=False, begin=0, end=100),
]
default_hooks = dict(checkpoint=dict(interval=1, save_best=None, max_keep_ckpts=2))
