"""DeepLabV3+ with MobileNetV2 on Cityscapes, with its 3x3 kernels: the baseline for the other kernels.

RepLKNet's authors report 71.76 % on ImageNet after 100 epochs and 72.31 mIoU. Their recipe for Cityscapes is not
known; this is that of mmsegmentation's own MobileNetV2, 80k iterations, at output stride 16.
Global batch 8: 4 GPUs x 2 images.
"""

_base_ = [
    '../_base_/models/deeplabv3plus_mobilenetv2.py',
    '../_base_/datasets/cityscapes.py',
    '../_base_/schedules/seg_80k_sgd.py',
    '../_base_/runtime.py',
]
model = dict(
    data_preprocessor=dict(size=(512, 1024)),
    decode_head=dict(num_classes=19),
    auxiliary_head=dict(num_classes=19),
)
train_dataloader = dict(batch_size=2)
auto_scale_lr = dict(enable=False, base_batch_size=8)
