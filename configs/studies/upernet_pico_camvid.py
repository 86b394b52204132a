"""UPerNet with narrow heads and any backbone of pico's widths on CamVid at half its size: 160 iterations of 8 crops.

A study sets the backbone. Short side 180, times 0.5 to 2, crops of 128x128; validation runs once, at the end.
"""

_base_ = '../examples/upernet_convnext_pico_camvid.py'
_base_.train_pipeline[2].scale = (720, 180)
_base_.train_pipeline[3].crop_size = (128, 128)
_base_.test_pipeline[1].scale = (720, 180)
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
model = dict(data_preprocessor=dict(size=(128, 128)))
train_cfg = dict(max_iters=160, val_interval=160)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=20),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=20, end=160),
]
default_hooks = dict(checkpoint=dict(interval=40, save_best=None, max_keep_ckpts=2))
