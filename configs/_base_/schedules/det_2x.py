"""Detection, 24 epochs, with the constant warm-up of FCOS."""

_base_ = 'det_3x.py'
train_cfg = dict(max_epochs=24)
param_scheduler = [
    dict(type='ConstantLR', factor=1.0 / 3, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', gamma=0.1, milestones=[16, 22], by_epoch=True, begin=0, end=24),
]
