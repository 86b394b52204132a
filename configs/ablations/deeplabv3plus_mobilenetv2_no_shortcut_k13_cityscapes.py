"""DeepLabV3+ with MobileNetV2 on Cityscapes, 13x13 kernels, no shortcuts around the blocks.

RepLKNet's authors report 53.98 % on ImageNet after 100 epochs, against 72.53 % with shortcuts, and nothing
on Cityscapes; that these kernels had no small ones beside them is our reading. They train them anew; here they begin as
3x3 kernels, those of a backbone without shortcuts too.
"""

_base_ = 'deeplabv3plus_mobilenetv2_cityscapes.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='Enlarged',
        sizes=13,
        small_kernel=None,
        backbone=dict(type='WithoutShortcuts', backbone=_base_.model.backbone),
    ),
)
