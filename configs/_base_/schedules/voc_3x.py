"""Detection on Pascal VOC, 36 epochs: as on COCO, but the best checkpoint is chosen by VOC's mAP."""

_base_ = 'det_3x.py'
default_hooks = dict(checkpoint=dict(save_best='pascal_voc/mAP'))
