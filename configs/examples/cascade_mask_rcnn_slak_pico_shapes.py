"""Cascade Mask R-CNN with SLaK-pico on synthetic shapes in COCO's layout: the detection half of `make demo`.

Two classes, images of 128x128, 4 epochs of 200 images, 2 at a time, for a CPU. The backbone starts from the weights
that the segmentation half has trained: detectors learn slowly from random ones.
"""

_base_ = '../cascade_mask_rcnn_slak_pico_coco.py'
data_root = 'demo/data/coco'
metainfo = dict(classes=('person', 'bicycle'))
_base_.train_pipeline[2] = dict(type='Resize', scale=(128, 128))
_base_.test_pipeline[1].scale = (128, 128)
train_dataloader = dict(
    batch_size=2,
    num_workers=1,
    dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=_base_.train_pipeline, filter_cfg=dict(min_size=8)),
)
val_dataloader = dict(
    num_workers=1, dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=_base_.test_pipeline)
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=f'{data_root}/annotations/instances_val2017.json')
test_evaluator = val_evaluator
model = dict(
    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='demo/segmentation/iter_260.pth')),
    rpn_head=dict(anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_head=[dict(head, num_classes=2) for head in _base_.model.roi_head.bbox_head],
        mask_head=dict(num_classes=2),
    ),
    # A handful of small objects needs few proposals.
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=100, max_per_img=100),
        rcnn=[dict(stage, sampler=dict(stage.sampler, num=64)) for stage in _base_.model.train_cfg.rcnn],
    ),
    test_cfg=dict(rpn=dict(nms_pre=100, max_per_img=100)),
)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_cfg = dict(max_epochs=4, val_interval=2)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=20),
    # The step comes late: around iteration 200 the model has only begun to tell shapes from the background.
    dict(type='MultiStepLR', gamma=0.1, milestones=[350], by_epoch=False, begin=0, end=400),
]
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=1))
