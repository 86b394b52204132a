"""Cascade Mask R-CNN with SLaK-T on COCO: 36 epochs (3x), multi-scale 480 to 800 with crops.

The recipe of SLaK's authors for their 300-epoch weights, but trained densely: in their run (51.3 box and 44.3 mask
AP) 40 % of the backbone's weights stay zero.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = [
    '_base_/models/cascade_mask_rcnn.py',
    '_base_/datasets/coco.py',
    '_base_/schedules/det_3x.py',
    '_base_/runtime.py',
]
model = dict(
    backbone=dict(type='SLaK', arch='tiny', drop_path_rate=0.4),
    neck=dict(in_channels=[124, 249, 499, 998]),
)
optim_wrapper = dict(
    optimizer=dict(lr=2e-4),
    constructor='LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(decay_type='layer_wise', decay_rate=0.7),
)
train_dataloader = dict(batch_size=2)
auto_scale_lr = dict(enable=False, base_batch_size=16)
