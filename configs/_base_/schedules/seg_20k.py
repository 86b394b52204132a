"""Segmentation, 20k iterations; the length of the warm-up is RepLKNet's for as many."""

_base_ = 'seg_160k.py'
train_cfg = dict(max_iters=20000, val_interval=2000)
_base_.param_scheduler[0].end = 400
_base_.param_scheduler[1].begin = 400
_base_.param_scheduler[1].end = 20000
default_hooks = dict(checkpoint=dict(interval=2000))
