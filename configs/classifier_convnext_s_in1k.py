"""ConvNeXt-S on ImageNet-1K: 300 epochs at 224x224.

The recipe of ConvNeXt's authors, who report 83.1 % top-1.
Global batch 4096: 32 GPUs x 128 images.
"""

_base_ = 'classifier_convnext_t_in1k.py'
model = dict(backbone=dict(arch='small', drop_path_rate=0.4))
