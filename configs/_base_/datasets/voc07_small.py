"""Pascal VOC detection on images of at most 512x320."""

_base_ = 'voc07.py'
_base_.train_pipeline[2].scales = [(512, 256), (512, 288), (512, 320)]
_base_.test_pipeline[1].scale = (512, 320)
_base_.tta_pipeline[1].transforms[0] = [
    dict(type='Resize', scale=(512, short), keep_ratio=True) for short in (256, 320, 384)
]
train_dataloader = dict(
    dataset=dict(
        datasets=[dict(year, pipeline=_base_.train_pipeline) for year in _base_.train_dataloader.dataset.datasets]
    )
)
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
