"""UPerNet with Swin-S on ADE20K: 160k iterations, 512x512 crops, tested on whole images.

A comparator: mmsegmentation's own backbone in the recipe of Swin's authors for ImageNet-1K weights (47.6 mIoU).
Weights that fit: theirs, converted by mmsegmentation's swin2mmseg.py.
Global batch 16: 8 GPUs x 2 images.
"""

_base_ = 'upernet_swin_t_ade20k.py'
model = dict(backbone=dict(depths=(2, 2, 18, 2)))
