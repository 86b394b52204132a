"""Cascade Mask R-CNN with ResNet-101 on COCO: 36 epochs (3x), multi-scale 480 to 800 with crops.

A comparator: mmdetection's own backbone with the optimizer that Swin's authors give ResNet-50 in their comparison
(AdamW instead of SGD), so that only the backbone differs. Weights that fit: `torchvision://resnet101`.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = 'cascade_mask_rcnn_resnet_50_coco.py'
model = dict(backbone=dict(depth=101))
