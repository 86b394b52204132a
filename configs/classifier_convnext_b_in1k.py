"""ConvNeXt-B on ImageNet-1K: 300 epochs at 224x224.

The recipe of ConvNeXt's authors, who report 83.8 % top-1.
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
        type='ConvNeXt',
        arch='base',
        drop_path_rate=0.5,
        layer_scale_init_value=1e-6,
        out_indices=(3,),
        norm_outputs=False,
    )
)
