"""UPerNet with ConvNeXt-pico on CamVid: as `upernet_slak_pico_camvid.py`, with kernels of 7x7."""

_base_ = 'upernet_slak_pico_camvid.py'
model = dict(
    backbone=dict(_delete_=True, type='ConvNeXt', arch='pico', drop_path_rate=0.0),
    decode_head=dict(in_channels=[64, 128, 256, 512]),
    auxiliary_head=dict(in_channels=256),
)
