"""Classification of square crops of a segmentation set by any backbone: 8 epochs of crops of 64x64, 32 at a time.

A study puts its backbone and the folder of the crops in (`lkdense.datasets.crops`); validated once, at the end.
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
train_cfg = dict(max_epochs=8, val_interval=8)
default_hooks = dict(checkpoint=dict(interval=2, save_best=None, max_keep_ckpts=1))
custom_hooks = []
