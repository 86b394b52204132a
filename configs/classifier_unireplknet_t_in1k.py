"""UniRepLKNet-T on ImageNet-1K: 300 epochs at 224x224.

ConvNeXt's recipe with the drop path that UniRepLKNet's authors take on ADE20K; they report 83.2 % top-1 with a recipe
of their own.
Global batch 4096: 32 GPUs x 128 images.
"""

_base_ = [
    '_base_/models/classifier.py',
    '_base_/datasets/in1k.py',
    '_base_/schedules/cls_300e.py',
    '_base_/runtime.py',
]
model = dict(backbone=dict(type='UniRepLKNet', arch='t', drop_path_rate=0.2, out_indices=(3,), norm_outputs=False))
