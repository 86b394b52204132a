"""DeepLabV3+ with MobileNetV2 on Cityscapes, 9x9 kernels alone.

RepLKNet's authors report 72.67 % on ImageNet after 100 epochs and 76.11 mIoU; their recipe for Cityscapes is not
known. They train the kernels anew on ImageNet; here they begin as the 3x3 kernels that they replace. Those of stride
2 stay 3x3 here; whether the authors' do is not known.
"""

_base_ = 'deeplabv3plus_mobilenetv2_cityscapes.py'
model = dict(backbone=dict(_delete_=True, type='Enlarged', sizes=9, small_kernel=None, backbone=_base_.model.backbone))
