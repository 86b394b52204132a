"""Faster R-CNN with SLaK-T on Pascal VOC 2007 (trained on 07 + 12): 36 epochs, multi-scale 480 to 800.

The recipe that the SLaK paper describes; the drop path is that of SLaK's authors on COCO. Trained densely, without
their sparse masks.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = [
    '_base_/models/faster_rcnn.py',
    '_base_/datasets/voc07.py',
    '_base_/schedules/voc_3x.py',
    '_base_/runtime.py',
]
model = dict(
    backbone=dict(type='SLaK', arch='tiny', drop_path_rate=0.4),
    neck=dict(in_channels=[124, 249, 499, 998]),
    roi_head=dict(bbox_head=dict(num_classes=20)),
)
optim_wrapper = dict(
    optimizer=dict(lr=1e-4),
)
train_dataloader = dict(batch_size=2)
auto_scale_lr = dict(enable=False, base_batch_size=16)
