"""UPerNet with SLaK-pico on synthetic shapes in ADE20K's layout: the segmentation half of `make demo`.

Four classes of objects on a wall, images and crops of 128x128, 240 iterations of 8 images, for a CPU.
"""

_base_ = '../upernet_slak_pico_ade20k.py'
data_root = 'demo/data/ade/ADEChallengeData2016'
metainfo = dict(classes=('wall', 'building', 'sky', 'floor', 'tree'))
_base_.train_pipeline[2].scale = (128, 128)
_base_.train_pipeline[3].crop_size = (128, 128)
_base_.test_pipeline[1].scale = (128, 128)
train_dataloader = dict(
    num_workers=1, dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=_base_.train_pipeline)
)
val_dataloader = dict(
    num_workers=1, dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=_base_.test_pipeline)
)
test_dataloader = val_dataloader
model = dict(
    data_preprocessor=dict(size=(128, 128)),
    decode_head=dict(num_classes=5),
    auxiliary_head=dict(num_classes=5),
)
train_cfg = dict(max_iters=240, val_interval=80)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=20),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=20, end=240),
]
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=80))
