"""One line in a host's own config, trained by the host's own way: nothing of lkdense is imported by hand."""

import subprocess
import sys

import pytest

from lkdense.data.synthetic import write_scenes
from lkdense.swap.survey import shipped_configs

# what tools/train.py of mmseg and of mmdet does with a config
TRAIN = """
import sys
from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
cfg = Config.fromfile('mine.py')
cfg.work_dir = 'runs'
assert 'lkdense' not in sys.modules
runner = Runner.from_cfg(cfg) if 'runner_type' not in cfg else RUNNERS.build(cfg)
runner.train()
print(type(runner.model.backbone), runner.iter)
"""
SCHEDULE = """
optim_wrapper = dict(_delete_=True, type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-4))
param_scheduler = []
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=1, val_interval=9)
default_hooks = dict(checkpoint=dict(type='CheckpointHook', interval=9, by_epoch=False))
"""
CONFIGS = {
    'mmseg': (
        'upernet/upernet_r18_4xb4-80k_ade20k-512x512.py',
        'ade20k',
        """
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False, dataset=dict(
    pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', reduce_zero_label=True),
              dict(type='PackSegInputs')]))
norm = dict(type='BN')
model = dict(
    data_preprocessor=dict(size=(64, 64)),
    pretrained=None,
    backbone=dict(_delete_=True, type='lkdense.SLaK', arch='pico'),
    decode_head=dict(in_channels=[83, 166, 332, 665], channels=16, norm_cfg=norm),
    auxiliary_head=dict(in_channels=332, channels=16, norm_cfg=norm))
""",
    ),
    'mmdet': (
        'retinanet/retinanet_r50_fpn_1x_coco.py',
        'coco',
        """
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False, dataset=dict(
    ann_file='annotations/instances_train2017.json'))
model = dict(
    backbone=dict(_delete_=True, type='lkdense.SLaK', arch='pico'),
    neck=dict(in_channels=[83, 166, 332, 665]))
train_dataloader['dataset']['pipeline'] = [
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True), dict(type='PackDetInputs')]
""",
    ),
}


@pytest.mark.parametrize('package', CONFIGS)
def test_trains_an_iteration_under_the_host_alone(package, tmp_path):
    base, layout, changes = CONFIGS[package]
    write_scenes(layout, tmp_path / 'data', images=8, size=64)
    text = f'_base_ = {str(shipped_configs(package)[0] / base)!r}\n{changes}{SCHEDULE}'
    (tmp_path / 'mine.py').write_text(text)
    done = subprocess.run([sys.executable, '-c', TRAIN], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "<class 'lkdense.backbones.slak.SLaK'> 1" in done.stdout
