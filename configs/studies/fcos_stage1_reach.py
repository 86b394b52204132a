"""FCOS without towers on the first stage, on the long-range probe as detection: boxes are local, their classes are not.

The head's own 3x3 convolutions reach 4 pixels further than that of `fcn_stage1_reach.py`. 200 iterations of 8 images.
"""

_base_ = [
    '../_base_/models/fcos.py',
    '../_base_/datasets/coco_boxes.py',
    '../_base_/schedules/det_2x.py',
    '../_base_/runtime.py',
]
metainfo = dict(classes=('red', 'blue'), palette=[(200, 60, 60), (60, 60, 200)])
_base_.train_pipeline[2] = dict(type='Resize', scale=(128, 128))
# There are no flips, as in the other forms of the probe.
_base_.train_pipeline.pop(3)
_base_.test_pipeline[1].scale = (128, 128)
dataset = dict(data_root='data/reach', metainfo=metainfo)
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(
        **dataset,
        ann_file='instances_train.json',
        data_prefix=dict(img='images/train/'),
        pipeline=_base_.train_pipeline,
    ),
)
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        **dataset,
        ann_file='instances_val.json',
        data_prefix=dict(img='images/val/'),
        pipeline=_base_.test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='data/reach/instances_val.json')
test_evaluator = val_evaluator
model = dict(
    data_preprocessor=dict(mean=[110.0] * 3, std=[50.0] * 3),
    backbone=dict(type='ConvNeXt', arch=dict(depths=(1, 1, 1, 1), dims=(64, 64, 64, 64)), out_indices=(0,)),
    neck=None,
    bbox_head=dict(
        num_classes=2,
        in_channels=64,
        feat_channels=64,
        stacked_convs=0,
        strides=[4],
        regress_ranges=((-1, 1e8),),
    ),
)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
train_cfg = dict(max_epochs=4, val_interval=4)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=20),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=20, end=200),
]
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=1, save_best=None, max_keep_ckpts=2))
