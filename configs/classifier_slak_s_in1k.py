"""SLaK-S on ImageNet-1K: 300 epochs at 224x224.

The recipe of SLaK's authors, who report 83.8 % top-1: that of ConvNeXt, with 40 % of the weights zero, first spread
by SNIP, then moved at random every 100 iterations, at first 30 % of the active ones.
Global batch 4096: 32 GPUs x 128 images.
"""

_base_ = 'classifier_slak_t_in1k.py'
_base_.custom_hooks[1].update(interval=100, prune_rate=0.3)
model = dict(backbone=dict(arch='small', drop_path_rate=0.4))
