"""What every config shares.

Backbones start from random weights unless the command line names a checkpoint; the authors' files load as they are:
``--cfg-options model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=PATH``.
"""

custom_imports = dict(imports=['lkdense'], allow_failed_imports=False)
env_cfg = dict(
    # Image sizes vary in detection, and runs should be repeatable.
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
randomness = dict(seed=0)
log_level = 'INFO'
load_from = None
resume = False
