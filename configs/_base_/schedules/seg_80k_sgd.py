"""Segmentation, 80k iterations of SGD, as mmsegmentation trains its own backbones."""

_base_ = 'seg_80k.py'
optim_wrapper = dict(optimizer=dict(_delete_=True, type='SGD', lr=0.01, momentum=0.9, weight_decay=0.0005))
param_scheduler = [dict(type='PolyLR', power=0.9, eta_min=1e-4, by_epoch=False, begin=0, end=80000)]
