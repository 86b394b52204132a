"""Faster R-CNN with ConvNeXt-pico and narrow heads on Pascal VOC 2007 (trained on 07 + 12): 36 epochs, at most 512x320.

Ours, for CPUs, demonstrations and tests. Nobody publishes weights of this size, so it starts from random ones, without
drop path or layer decay and at a higher learning rate.
Global batch 8: 1 GPU x 8 images.
"""

_base_ = [
    '_base_/models/faster_rcnn_narrow.py',
    '_base_/datasets/voc07_small.py',
    '_base_/schedules/voc_3x.py',
    '_base_/runtime.py',
]
model = dict(
    backbone=dict(type='ConvNeXt', arch='pico', drop_path_rate=0.0),
    neck=dict(in_channels=[64, 128, 256, 512]),
    roi_head=dict(bbox_head=dict(num_classes=20)),
)
optim_wrapper = dict(
    optimizer=dict(lr=5e-4),
)
train_dataloader = dict(batch_size=8)
auto_scale_lr = dict(enable=False, base_batch_size=8)
