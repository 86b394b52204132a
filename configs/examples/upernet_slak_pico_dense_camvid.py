"""SLaK-pico at the arch's own width, dense, on CamVid: the baseline of `upernet_slak_pico_sparse_camvid.py`."""

_base_ = 'upernet_slak_pico_camvid.py'
crop_size = (128, 128)
_base_.train_pipeline[3].crop_size = crop_size
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(width_factor=1.0),
    decode_head=dict(in_channels=[64, 128, 256, 512]),
    auxiliary_head=dict(in_channels=256),
)
train_cfg = dict(max_iters=400, val_interval=400)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=20),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=20, end=400),
]
default_hooks = dict(checkpoint=dict(interval=400))
