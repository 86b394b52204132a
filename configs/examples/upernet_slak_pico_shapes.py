"""UPerNet with SLaK-pico on synthetic shapes in ADE20K's layout: the segmentation half of `make demo`.

Two classes of objects on a wall, images and crops of 128x128, 260 iterations of 4 images, for a CPU. Four fifths of the
pixels are wall, which therefore weighs less in the loss.
"""

_base_ = '../upernet_slak_pico_ade20k.py'
data_root = 'demo/data/ade/ADEChallengeData2016'
metainfo = dict(classes=('wall', 'building', 'sky'))
_base_.train_pipeline[2].update(scale=(128, 128), ratio_range=(0.8, 1.5))
_base_.train_pipeline[3].crop_size = (128, 128)
_base_.test_pipeline[1].scale = (128, 128)
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=_base_.train_pipeline),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=_base_.test_pipeline),
)
test_dataloader = val_dataloader
head = dict(num_classes=3, loss_decode=dict(class_weight=[0.3, 1.0, 1.0]))
model = dict(data_preprocessor=dict(size=(128, 128)), decode_head=head, auxiliary_head=head)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_cfg = dict(max_iters=260, val_interval=65)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=20),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=20, end=260),
]
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=65))
