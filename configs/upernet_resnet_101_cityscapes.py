"""UPerNet with ResNet-101 on Cityscapes: 160k iterations, 512x1024 crops, tested on whole images.

A comparator: mmsegmentation's own backbone, trained like ConvNeXt but without layer decay, so that only the
backbone differs (mmsegmentation itself uses SGD). Weights that fit: mmsegmentation's `open-mmlab://resnet101_v1c`.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = 'upernet_resnet_50_cityscapes.py'
model = dict(backbone=dict(depth=101))
