"""Segmentation, 40k iterations; the length of the warm-up is RepLKNet's for as many."""

_base_ = 'seg_160k.py'
train_cfg = dict(max_iters=40000, val_interval=4000)
_base_.param_scheduler[0].end = 400
_base_.param_scheduler[1].begin = 400
_base_.param_scheduler[1].end = 40000
default_hooks = dict(checkpoint=dict(interval=4000))
