"""ADE20K as ConvNeXt's authors use it with ImageNet-22K weights: short side 640, crops of 640x640."""

_base_ = 'ade20k.py'
_base_.train_pipeline[2].scale = (2560, 640)
_base_.train_pipeline[3].crop_size = (640, 640)
_base_.test_pipeline[1].scale = (2560, 640)
_base_.tta_pipeline[1].transforms[0] = [
    dict(type='Resize', scale=(640 * i, 160 * i), keep_ratio=True) for i in (2, 3, 4, 5, 6, 7)
]
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
