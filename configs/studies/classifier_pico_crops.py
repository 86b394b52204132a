"""Classification of square crops of a segmentation set by any backbone: 4 epochs of crops of 64x64, 32 at a time.

A study sets the backbone and the folder of the crops (`lkdense.data.synthetic.crops`).
Validation runs once, at the end.
"""

_base_ = '../examples/classifier_slak_pico_shapes.py'
train_dataloader = dict(dataset=dict(data_root='data/crops/train'))
val_dataloader = dict(dataset=dict(data_root='data/crops/val'))
test_dataloader = val_dataloader
model = dict(
    backbone=dict(
        _delete_=True, type='ConvNeXt', arch='pico', drop_path_rate=0.0, out_indices=(3,), norm_outputs=False
    ),
    num_classes=8,
)
optim_wrapper = dict(optimizer=dict(lr=5e-4))
train_cfg = dict(max_epochs=4, val_interval=4)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=25),
    dict(type='CosineAnnealingLR', eta_min=1e-6, by_epoch=True, begin=0, end=4, convert_to_iter_based=True),
]
default_hooks = dict(checkpoint=dict(interval=1, save_best=None, max_keep_ckpts=2))
custom_hooks = []
