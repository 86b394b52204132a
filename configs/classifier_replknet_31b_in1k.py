"""RepLKNet-31B on ImageNet-1K: 300 epochs at 224x224.

ConvNeXt's recipe with the norm before the pooling, as RepLKNet's authors have it, and the drop path that they take on
ADE20K; they report 83.5 % top-1 with a recipe of their own.
Global batch 4096: 32 GPUs x 128 images.
"""

_base_ = [
    '_base_/models/classifier.py',
    '_base_/datasets/in1k.py',
    '_base_/schedules/cls_300e.py',
    '_base_/runtime.py',
]
model = dict(
    backbone=dict(type='RepLKNet', arch='31b', drop_path_rate=0.5, out_indices=(3,), norm_outputs=False), norm='batch'
)
