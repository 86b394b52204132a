"""Faster R-CNN with RepLKNet-31B on Pascal VOC 2007 (trained on 07 + 12): 36 epochs, multi-scale 480 to 800.

RepLKNet's authors have no VOC recipe: this is SLaK's (faster_rcnn_slak_t_voc07.py) with RepLKNet's drop path on COCO
and no weight decay on norms, as in all of theirs.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = [
    '_base_/models/faster_rcnn.py',
    '_base_/datasets/voc07.py',
    '_base_/schedules/voc_3x.py',
    '_base_/runtime.py',
]
model = dict(
    backbone=dict(type='RepLKNet', arch='31b', drop_path_rate=0.6, with_cp=True),
    neck=dict(in_channels=[128, 256, 512, 1024]),
    roi_head=dict(bbox_head=dict(num_classes=20)),
)
optim_wrapper = dict(
    optimizer=dict(lr=1e-4),
    paramwise_cfg=dict(norm_decay_mult=0),
)
train_dataloader = dict(batch_size=2)
auto_scale_lr = dict(enable=False, base_batch_size=16)
