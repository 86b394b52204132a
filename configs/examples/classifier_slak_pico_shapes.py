"""SLaK-pico as a classifier of synthetic shapes, with 40 % of the weights zero: pretraining in minutes on a CPU.

The data: `lkdense synthesize --layout imagenet --images 2000 --size 96 --classes 2 --out data/shapes`.
"""

_base_ = '../classifier_slak_pico_in1k.py'
crop = 64
train_pipeline = [
    dict(type='lkdense.classification.LoadImage'),
    dict(type='lkdense.classification.RandomResizedCrop', size=crop, scale=(0.5, 1.0)),
    dict(type='lkdense.classification.RandomFlip'),
    dict(type='lkdense.classification.Normalize'),
]
test_pipeline = [
    dict(type='lkdense.classification.LoadImage'),
    dict(type='lkdense.classification.ResizeEdge', size=crop),
    dict(type='lkdense.classification.CenterCrop', size=crop),
    dict(type='lkdense.classification.Normalize'),
]
train_dataloader = dict(
    batch_size=32, num_workers=1, dataset=dict(data_root='data/shapes/imagenet/train', pipeline=train_pipeline)
)
val_dataloader = dict(num_workers=1, dataset=dict(data_root='data/shapes/imagenet/val', pipeline=test_pipeline))
test_dataloader = val_dataloader
model = dict(num_classes=10, mixup=0.0, cutmix=0.0)
train_cfg = dict(max_epochs=8, val_interval=1)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=25),
    dict(type='CosineAnnealingLR', eta_min=1e-6, by_epoch=True, begin=0, end=8, convert_to_iter_based=True),
]
default_hooks = dict(checkpoint=dict(interval=1), logger=dict(interval=10))
custom_hooks = [dict(type='SparseTrainingHook', density=0.6, interval=20)]
