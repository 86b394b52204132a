"""Cascade Mask R-CNN with SLaK-pico on a COCO-style data set of one's own: nuclei, 1 class, 3 epochs of 200 images.

Only paths, classes, schedule and batch differ from the config that it derives from.
"""

_base_ = '../cascade_mask_rcnn_slak_pico_coco.py'
data_root = 'data/nuclei'
metainfo = dict(classes=('nucleus',), palette=[(220, 20, 60)])
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    dataset=dict(
        data_root=data_root,
        metainfo=metainfo,
        ann_file='annotations/instances_train.json',
        data_prefix=dict(img='train/'),
    ),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        data_root=data_root,
        metainfo=metainfo,
        ann_file='annotations/instances_val.json',
        data_prefix=dict(img='val/'),
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=f'{data_root}/annotations/instances_val.json')
test_evaluator = val_evaluator
model = dict(
    roi_head=dict(
        bbox_head=[dict(head, num_classes=1) for head in _base_.model.roi_head.bbox_head],
        mask_head=dict(num_classes=1),
    ),
)
train_cfg = dict(max_epochs=3, val_interval=1)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=20),
    dict(type='MultiStepLR', gamma=0.1, milestones=[2], by_epoch=True, begin=0, end=3),
]
default_hooks = dict(logger=dict(interval=10))
