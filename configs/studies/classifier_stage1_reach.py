"""The first stage, its mean and a linear layer on the local label of the long-range probe: how its patches are striped.

The control of `fcn_stage1_reach.py`: the same images, the same backbone, and nothing to reach for. 100 iterations of 8
images of 128x128.
"""

_base_ = '../examples/classifier_slak_pico_shapes.py'
pipeline = [dict(type='lkdense.classification.LoadImage'), dict(type='lkdense.classification.Normalize')]
train_dataloader = dict(batch_size=8, dataset=dict(data_root='data/reach/stripes/train', pipeline=pipeline))
val_dataloader = dict(dataset=dict(data_root='data/reach/stripes/val', pipeline=pipeline))
test_dataloader = val_dataloader
model = dict(
    backbone=dict(
        _delete_=True,
        type='ConvNeXt',
        arch=dict(depths=(1, 1, 1, 1), dims=(64, 64, 64, 64)),
        out_indices=(0,),
        norm_outputs=False,
    ),
    num_classes=2,
    label_smoothing=0.0,
)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
train_cfg = dict(max_epochs=2, val_interval=2)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=20),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=20, end=100),
]
default_hooks = dict(checkpoint=dict(interval=1, save_best=None, max_keep_ckpts=2))
custom_hooks = []
