"""Cascade Mask R-CNN with RepLKNet-XL on COCO: 36 epochs (3x), multi-scale 480 to 800 with crops.

The recipe of RepLKNet's authors for MegData73M weights, with the mean and std of that pretraining; they report 55.5
box and 48.0 mask AP. They do not state the number of GPUs: we assume 8, so that lr over batch is that of ConvNeXt-T.
Global batch 32: 8 GPUs x 4 images.
"""

_base_ = 'cascade_mask_rcnn_replknet_31b_coco.py'
model = dict(
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),
    backbone=dict(arch='xl', drop_path_rate=0.5, norm_outputs=True),
    neck=dict(in_channels=[256, 512, 1024, 2048]),
)
train_dataloader = dict(batch_size=4)
