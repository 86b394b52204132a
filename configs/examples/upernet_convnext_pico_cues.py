"""UPerNet with ConvNeXt-pico on four synthetic classes, each with its own texture: for `lkdense shape-bias`.

The data: `lkdense synthesize --layout ade20k --images 1000 --size 128 --classes 4 --out data/cues`. Other kernels:
`--cfg-options model.backbone.kernel_sizes="[31,29,27,13]"`; all have a parallel kernel of 5x5. 2000 iterations of 4
images, for a CPU; after 500 it finds the objects and does not tell them apart.
"""

_base_ = 'upernet_slak_pico_shapes.py'
data_root = 'data/cues/ade/ADEChallengeData2016'
metainfo = dict(classes=('wall', 'building', 'sky', 'floor', 'tree'))
train_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
val_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
test_dataloader = val_dataloader
head = dict(num_classes=5, loss_decode=dict(class_weight=[0.3, 1.0, 1.0, 1.0, 1.0]))
model = dict(
    backbone=dict(_delete_=True, type='ConvNeXt', arch='pico', small_kernel=5, kernel_sizes=(7, 7, 7, 7)),
    decode_head=dict(in_channels=[64, 128, 256, 512], **head),
    auxiliary_head=dict(in_channels=256, **head),
)
train_cfg = dict(max_iters=2000, val_interval=500)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=20),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=20, end=2000),
]
default_hooks = dict(checkpoint=dict(interval=500))
