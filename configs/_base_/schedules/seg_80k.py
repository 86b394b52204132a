"""Segmentation, 80k iterations; the length of the warm-up is RepLKNet's for as many."""

_base_ = 'seg_160k.py'
train_cfg = dict(max_iters=80000, val_interval=8000)
_base_.param_scheduler[0].end = 800
_base_.param_scheduler[1].begin = 800
_base_.param_scheduler[1].end = 80000
default_hooks = dict(checkpoint=dict(interval=8000))
