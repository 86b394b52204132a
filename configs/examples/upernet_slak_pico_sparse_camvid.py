"""SLaK-pico 1.3 times as wide with 40 % of the backbone's weights zero, on CamVid: about as many weights as dense.

The zeros move every 20 iterations, as in SLaK's recipe but at a smaller scale.
"""

_base_ = 'upernet_slak_pico_dense_camvid.py'
model = dict(
    backbone=dict(width_factor=1.3),
    decode_head=dict(in_channels=[83, 166, 332, 665]),
    auxiliary_head=dict(in_channels=332),
)
custom_hooks = [dict(type='SparseTrainingHook', density=0.6, interval=20, prune_rate=0.5)]
