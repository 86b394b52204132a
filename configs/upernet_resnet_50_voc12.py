"""UPerNet with ResNet-50 on Pascal VOC 2012 + augmented set: 40k iterations, 512x512 crops, tested on whole images.

A comparator: mmsegmentation's own backbone, trained like ConvNeXt but without layer decay, so that only the
backbone differs (mmsegmentation itself uses SGD). Weights that fit: mmsegmentation's `open-mmlab://resnet50_v1c`.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = [
    '_base_/models/upernet.py',
    '_base_/datasets/voc12.py',
    '_base_/schedules/seg_40k.py',
    '_base_/runtime.py',
]
model = dict(
    backbone=dict(type='ResNetV1c', depth=50, norm_cfg=_base_.norm_cfg),
    decode_head=dict(in_channels=[256, 512, 1024, 2048], num_classes=21),
    auxiliary_head=dict(in_channels=1024, num_classes=21),
)
optim_wrapper = dict(
    optimizer=dict(lr=1e-4),
    paramwise_cfg=dict(norm_decay_mult=0),
)
train_dataloader = dict(batch_size=2)
auto_scale_lr = dict(enable=False, base_batch_size=16)
