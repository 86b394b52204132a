"""SLaK-pico on ImageNet-1K: 300 epochs at 224x224.

Ours, for CPUs, demonstrations and tests.
Global batch 64: 1 GPU x 64 images.
"""

_base_ = [
    '_base_/models/classifier.py',
    '_base_/datasets/in1k.py',
    '_base_/schedules/cls_300e.py',
    '_base_/runtime.py',
]
model = dict(backbone=dict(type='SLaK', arch='pico', layer_scale_init_value=1.0, out_indices=(3,), norm_outputs=False))
train_dataloader = dict(batch_size=64, num_workers=2)
val_dataloader = dict(batch_size=64, num_workers=2)
test_dataloader = val_dataloader
optim_wrapper = dict(optimizer=dict(lr=1e-3))
auto_scale_lr = dict(enable=False, base_batch_size=64)
