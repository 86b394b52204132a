"""One line in a host's own config, trained by the host's own way: nothing of lkdense is imported by hand."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lkdense.data.synthetic import write_scenes
from lkdense.swap.survey import shipped_configs

ROOT = Path(__file__).parents[2]
# The essence of the hosts' own tools/train.py. Each host trains in a process of its own, in which nothing has imported
# lkdense; the processes are forks, because torch and MMEngine take seconds to import.
TRAIN = """
import os
import sys
from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

def train():
    cfg = Config.fromfile('mine.py')
    cfg.work_dir = 'runs'
    assert 'lkdense' not in sys.modules
    runner = Runner.from_cfg(cfg) if 'runner_type' not in cfg else RUNNERS.build(cfg)
    runner.train()
    print(type(runner.model.backbone), runner.iter)

for folder in sys.argv[1:]:
    pid = os.fork()
    if not pid:
        os.chdir(folder)
        log = os.open('log.txt', os.O_CREAT | os.O_WRONLY)
        os.dup2(log, 1)
        os.dup2(log, 2)
        train()
        sys.exit()
    os.waitpid(pid, 0)
"""
SCHEDULE = """
optim_wrapper = dict(_delete_=True, type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-4))
param_scheduler = []
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=1, val_interval=9)
default_hooks = dict(checkpoint=dict(type='CheckpointHook', interval=9, save_last=False, by_epoch=False))
val_dataloader = val_cfg = val_evaluator = None
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
    neck=dict(in_channels=[83, 166, 332, 665], out_channels=16),
    bbox_head=dict(in_channels=16, feat_channels=16, stacked_convs=1))
train_dataloader['dataset']['pipeline'] = [
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True), dict(type='PackDetInputs')]
""",
    ),
}


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    """A folder for each host, with its config and the log of its training."""
    folders = {}
    for package, (base, layout, changes) in CONFIGS.items():
        folders[package] = tmp_path_factory.mktemp(package)
        write_scenes(layout, folders[package] / 'data', images=2, size=64)
        text = f'_base_ = {str(shipped_configs(package)[0] / base)!r}\n{changes}{SCHEDULE}'
        (folders[package] / 'mine.py').write_text(text)

    environment = dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=str(ROOT))
    subprocess.run([sys.executable, '-c', TRAIN, *folders.values()], env=environment, check=True)
    return folders


@pytest.mark.parametrize('package', CONFIGS)
def test_trains_an_iteration_under_the_host_alone(package, folders):
    log = (folders[package] / 'log.txt').read_text()
    assert "<class 'lkdense.backbones.slak.SLaK'> 1" in log, log[-3000:]
