"""UPerNet with ConvNeXt-T on ADE20K, with its 7x7 kernels: the baseline for 31x31. 80k iterations, 512x512 crops.

The recipe of SLaK's authors for 80k iterations; their figures for this comparison are not known here.
Global batch 16: 4 GPUs x 4 images.
"""

_base_ = [
    '../_base_/models/upernet.py',
    '../_base_/datasets/ade20k.py',
    '../_base_/schedules/seg_80k.py',
    '../_base_/runtime.py',
]
model = dict(
    backbone=dict(type='ConvNeXt', arch='tiny', drop_path_rate=0.1),
    decode_head=dict(in_channels=[96, 192, 384, 768], num_classes=150),
    auxiliary_head=dict(in_channels=384, num_classes=150),
    test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(341, 341)),
)
optim_wrapper = dict(optimizer=dict(lr=2e-4), paramwise_cfg=dict(norm_decay_mult=0))
train_dataloader = dict(batch_size=4)
auto_scale_lr = dict(enable=False, base_batch_size=16)
