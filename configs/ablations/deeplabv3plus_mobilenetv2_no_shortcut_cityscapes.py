"""DeepLabV3+ with MobileNetV2 on Cityscapes, 3x3 kernels, no shortcuts around the blocks.

RepLKNet's authors report 68.67 % on ImageNet after 100 epochs, against 71.76 % with shortcuts, and nothing
on Cityscapes. Weights of a backbone with shortcuts load but mean nothing here: it needs weights of its own.
"""

_base_ = 'deeplabv3plus_mobilenetv2_cityscapes.py'
model = dict(backbone=dict(_delete_=True, type='WithoutShortcuts', backbone=_base_.model.backbone))
