"""UPerNet with ConvNeXt-T on ADE20K, its kernels enlarged from 7x7 to 31, 29, 27 and 13, with 5x5 kernels beside them.

The step from ConvNeXt to SLaK. SLaK's authors train these kernels anew on ImageNet, as
classifier_convnext_t_k31_small_in1k.py does; here they begin as ConvNeXt's own, from ConvNeXt's weights. The sizes by
stage are those of RepLKNet-31; that SLaK's authors took the same is unverified, as are their figures.
"""

_base_ = 'upernet_convnext_t_k7_ade20k.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='Enlarged',
        sizes={r'stages\.0': 31, r'stages\.1': 29, r'stages\.2': 27, r'stages\.3': 13},
        small_kernel=5,
        backbone=_base_.model.backbone,
    )
)
