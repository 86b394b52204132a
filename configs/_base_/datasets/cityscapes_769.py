"""Cityscapes at 2049x1025 with crops of 769x769, sizes that fit align_corners=True."""

_base_ = 'cityscapes.py'
_base_.train_pipeline[2].scale = (2049, 1025)
_base_.train_pipeline[3].crop_size = (769, 769)
_base_.test_pipeline[1].scale = (2049, 1025)
_base_.tta_pipeline[1].transforms[0] = [
    dict(type='Resize', scale=(512 * i + 1, 256 * i + 1), keep_ratio=True) for i in (2, 3, 4, 5, 6, 7)
]
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
