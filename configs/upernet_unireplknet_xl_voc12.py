"""UPerNet with UniRepLKNet-XL on Pascal VOC 2012 + augmented set: 40k iterations, 512x512 crops, sliding window.

UniRepLKNet's authors have no VOC segmentation recipe: this is their ADE20K one of UniRepLKNet-L at 512x512 with
mmsegmentation's VOC schedule.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = [
    '_base_/models/upernet.py',
    '_base_/datasets/voc12.py',
    '_base_/schedules/seg_40k.py',
    '_base_/runtime.py',
]
crop_size = (512, 512)
model = dict(
    backbone=dict(type='UniRepLKNet', arch='xl', drop_path_rate=0.4, with_cp=True),
    decode_head=dict(in_channels=[256, 512, 1024, 2048], num_classes=21),
    auxiliary_head=dict(in_channels=1024, num_classes=21),
    test_cfg=dict(mode='slide', crop_size=crop_size, stride=(341, 341)),
)
optim_wrapper = dict(
    optimizer=dict(lr=1e-4),
    constructor='LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(decay_type='layer_wise', decay_rate=0.85),
)
train_dataloader = dict(batch_size=2)
auto_scale_lr = dict(enable=False, base_batch_size=16)
