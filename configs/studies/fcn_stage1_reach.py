"""A linear head on the first stage, on the long-range probe of one distance: what one layer of large kernels reaches.

The widths are those of the pico sizes; one block, so that the reach is known: half a kernel, in steps of 4 pixels. A
study sets the backbone and the folder of its probe. 100 iterations of 8 images of 128x128.
"""

_base_ = ['../_base_/models/upernet.py', '../_base_/schedules/seg_20k.py', '../_base_/runtime.py']
ignored = 255
pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
dataset = dict(
    type='BaseSegDataset',
    metainfo=dict(classes=('red', 'blue'), palette=[[200, 60, 60], [60, 60, 200]]),
    img_suffix='.png',
    seg_map_suffix='.png',
    pipeline=pipeline,
)
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        **dataset,
        data_root='data/reach',
        data_prefix=dict(img_path='images/train', seg_map_path='annotations/train'),
    ),
)
val_dataloader = dict(
    batch_size=10,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset,
        data_root='data/reach',
        data_prefix=dict(img_path='images/val', seg_map_path='annotations/val'),
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
model = dict(
    data_preprocessor=dict(size=(128, 128), mean=[110.0] * 3, std=[50.0] * 3),
    backbone=dict(
        type='ConvNeXt', arch=dict(depths=(1, 1, 1, 1), dims=(64, 64, 64, 64)), out_indices=(0,), drop_path_rate=0.0
    ),
    decode_head=dict(
        _delete_=True,
        type='FCNHead',
        in_index=0,
        in_channels=64,
        channels=64,
        num_convs=0,
        kernel_size=1,
        concat_input=False,
        dropout_ratio=0.0,
        num_classes=2,
        ignore_index=ignored,
        norm_cfg=None,
        align_corners=False,
        # Most pixels are ignored and must not count in the mean.
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0, avg_non_ignore=True),
    ),
    auxiliary_head=None,
)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
train_cfg = dict(max_iters=100, val_interval=100)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=20),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=20, end=100),
]
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=50, save_best=None, max_keep_ckpts=2))
