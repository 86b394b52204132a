"""SLaK-B on ImageNet-1K: 300 epochs at 224x224.

The recipe of SLaK's authors, who report 84.0 % top-1: that of ConvNeXt, with 40 % of the weights zero, first spread
by SNIP, then moved at random every 100 iterations, at first 30 % of the active ones.
Global batch 4096: 32 GPUs x 128 images.
"""

_base_ = [
    '_base_/models/classifier.py',
    '_base_/datasets/in1k.py',
    '_base_/schedules/cls_300e.py',
    '_base_/runtime.py',
]
model = dict(
    backbone=dict(
        type='SLaK', arch='base', drop_path_rate=0.5, layer_scale_init_value=1e-6, out_indices=(3,), norm_outputs=False
    )
)
custom_hooks = [
    dict(type='EMAHook', momentum=1e-4),
    dict(type='SparseTrainingHook', density=0.6, interval=100, prune_rate=0.3),
]
