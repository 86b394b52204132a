"""ADE20K at half the usual size: short side 256, times 0.5 to 2 in training; crops of 256x256."""

_base_ = 'ade20k.py'
_base_.train_pipeline[2].scale = (1024, 256)
_base_.train_pipeline[3].crop_size = (256, 256)
_base_.test_pipeline[1].scale = (1024, 256)
_base_.tta_pipeline[1].transforms[0] = [
    dict(type='Resize', scale=(256 * i, 64 * i), keep_ratio=True) for i in (2, 3, 4, 5, 6, 7)
]
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
