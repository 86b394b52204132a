"""UPerNet with SLaK-pico on a data set of one's own: CamVid, 11 classes, 200 iterations of 8 images on a CPU.

Only paths, classes and schedule differ from the config that it derives from. CamVid marks unlabelled pixels with 11,
not with 255 as the other data sets do, hence `ignore_index`.
"""

_base_ = '../upernet_slak_pico_ade20k.py'
data_root = 'data/camvid'
void = 11
metainfo = dict(
    classes=(
        'sky', 'building', 'pole', 'road', 'pavement', 'tree', 'sign_symbol', 'fence', 'car', 'pedestrian', 'bicyclist',
    ),
    palette=[
        [128, 128, 128], [128, 0, 0], [192, 192, 128], [128, 64, 128], [60, 40, 222], [128, 128, 0], [192, 128, 128],
        [64, 64, 128], [64, 0, 128], [64, 64, 0], [0, 128, 192],
    ],
)  # fmt: skip
dataset = dict(
    type='BaseSegDataset',
    data_root=data_root,
    metainfo=metainfo,
    img_suffix='.jpg',
    seg_map_suffix='.png',
    ignore_index=void,
)
_base_.train_pipeline[3].ignore_index = void
train_dataloader = dict(
    num_workers=1,
    dataset=dict(
        _delete_=True,
        **dataset,
        data_prefix=dict(img_path='images/train', seg_map_path='annotations/train'),
        pipeline=_base_.train_pipeline,
    ),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        _delete_=True,
        **dataset,
        data_prefix=dict(img_path='images/val', seg_map_path='annotations/val'),
        pipeline=_base_.test_pipeline,
    ),
)
test_dataloader = dict(
    num_workers=1,
    dataset=dict(
        _delete_=True,
        **dataset,
        data_prefix=dict(img_path='images/test', seg_map_path='annotations/test'),
        pipeline=_base_.test_pipeline,
    ),
)
val_evaluator = dict(ignore_index=void)
test_evaluator = val_evaluator
model = dict(
    data_preprocessor=dict(seg_pad_val=void),
    decode_head=dict(num_classes=11, ignore_index=void),
    auxiliary_head=dict(num_classes=11, ignore_index=void),
)
train_cfg = dict(max_iters=200, val_interval=40)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=20),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=20, end=200),
]
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=40))
