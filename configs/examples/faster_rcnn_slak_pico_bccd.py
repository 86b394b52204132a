"""Faster R-CNN with SLaK-pico on a VOC-style data set of one's own: BCCD, 3 classes, 2 epochs of 205 images.

Only paths, classes, schedule and batch differ from the config that it derives from.
"""

_base_ = '../faster_rcnn_slak_pico_voc07.py'
data_root = 'data/bccd'
metainfo = dict(classes=('RBC', 'WBC', 'Platelets'), palette=[(220, 20, 60), (0, 0, 230), (0, 160, 0)])
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    dataset=dict(
        _delete_=True,
        type='VOCDataset',
        data_root=data_root,
        metainfo=metainfo,
        ann_file='VOC2007/ImageSets/Main/train.txt',
        data_prefix=dict(sub_data_root='VOC2007/'),
        # Two boxes of this set have no extent and would make the regression loss NaN.
        filter_cfg=dict(filter_empty_gt=True, min_size=32, bbox_min_size=1),
        pipeline=_base_.train_pipeline,
    ),
)
val_dataloader = dict(num_workers=1, dataset=dict(data_root=data_root, metainfo=metainfo))
test_dataloader = val_dataloader
model = dict(roi_head=dict(bbox_head=dict(num_classes=3)))
train_cfg = dict(max_epochs=2, val_interval=1)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=20),
    dict(type='MultiStepLR', gamma=0.1, milestones=[1], by_epoch=True, begin=0, end=2),
]
default_hooks = dict(logger=dict(interval=10))
