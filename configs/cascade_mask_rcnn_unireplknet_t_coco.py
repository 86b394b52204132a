"""Cascade Mask R-CNN with UniRepLKNet-T on COCO: 36 epochs (3x), multi-scale 480 to 800 with crops.

The recipe of UniRepLKNet's authors for ImageNet-1K weights, in single precision; they report 51.7 box and 44.9
mask AP. They count 12 layers for the decay, although the depth of this size gives 9.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = [
    '_base_/models/cascade_mask_rcnn.py',
    '_base_/datasets/coco.py',
    '_base_/schedules/det_3x.py',
    '_base_/runtime.py',
]
model = dict(
    backbone=dict(type='UniRepLKNet', arch='t', drop_path_rate=0.3, with_cp=True),
    neck=dict(in_channels=[80, 160, 320, 640]),
)
optim_wrapper = dict(
    optimizer=dict(lr=1e-4),
    constructor='LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(decay_type='layer_wise', decay_rate=0.8),
)
train_dataloader = dict(batch_size=2)
auto_scale_lr = dict(enable=False, base_batch_size=16)
