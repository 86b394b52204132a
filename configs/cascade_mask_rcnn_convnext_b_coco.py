"""Cascade Mask R-CNN with ConvNeXt-B on COCO: 36 epochs (3x), multi-scale 480 to 800 with crops.

The recipe of ConvNeXt's authors for ImageNet-1K weights, in mixed precision; they report 52.7 box and 45.6 mask AP.
For ImageNet-22K weights (54.0 and 46.9) they take lr=1e-4 and drop_path_rate=0.6.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = [
    '_base_/models/cascade_mask_rcnn.py',
    '_base_/datasets/coco.py',
    '_base_/schedules/det_3x.py',
    '_base_/runtime.py',
]
model = dict(
    backbone=dict(type='ConvNeXt', arch='base', drop_path_rate=0.7),
    neck=dict(in_channels=[128, 256, 512, 1024]),
)
optim_wrapper = dict(
    type='AmpOptimWrapper',
    optimizer=dict(lr=2e-4),
    constructor='LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(decay_type='layer_wise', decay_rate=0.8),
)
train_dataloader = dict(batch_size=2)
auto_scale_lr = dict(enable=False, base_batch_size=16)
