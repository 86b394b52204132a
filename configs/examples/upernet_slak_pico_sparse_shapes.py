"""UPerNet on synthetic shapes from a sparse pretrained backbone, whose zeros stay where they are.

Name the checkpoint: `--cfg-options model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=PATH`.
"""

_base_ = 'upernet_slak_pico_shapes.py'
custom_hooks = [dict(type='SparseTrainingHook', density=None, distribution='zeros', mode='fixed')]
