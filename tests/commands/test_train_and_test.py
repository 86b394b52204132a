"""Training and testing as a user does it: the real configs, made small, on small data in the real layouts."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from functools import cache
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.fileio import load
from processes import command, run_command, run_program, variables

from lkdense.backbones.recognition import recognise
from lkdense.checkpoints.file import read
from lkdense.checkpoints.keys import unwrap
from lkdense.commands import main
from lkdense.config import read_config
from lkdense.data.synthetic import write_scenes
from lkdense.layers import StripLargeKernel
from lkdense.models import load_model

ROOT = Path(__file__).parents[2]
# This official checkpoint is of a SLaK that is smaller than any of ours.
OFFICIAL = ROOT / 'tests/official/slak_51_decomposed.pth'
PICO = {
    'model.backbone.arch': 'pico',
    'model.decode_head.in_channels': [64, 128, 256, 512],
    'model.auxiliary_head.in_channels': 256,
}
# After so little training nothing is detected with confidence, and without detections there is no mAP.
DETECT_ANYTHING = {'model.test_cfg.rcnn.score_thr': 1e-4}
# Layout of data: a config that reads it, and the changes that make its backbone the smallest of its family.
CONFIGS = {
    'ade20k': ('upernet_slak_pico_ade20k', {}),
    'coco': ('cascade_mask_rcnn_slak_pico_coco', DETECT_ANYTHING),
    'cityscapes': ('upernet_convnext_t_cityscapes', PICO),
    'voc2012': ('upernet_replknet_31b_voc12', PICO),
    'voc2007': ('faster_rcnn_convnext_pico_voc07', DETECT_ANYTHING),
}
HEADLINES = {
    'upernet': r'mIoU \d+\.\d\d %, mean accuracy \d+\.\d\d %, pixel accuracy \d+\.\d\d %',
    'cascade': r'box AP -?\d\.\d{3}, mask AP -?\d\.\d{3}',
    'faster': r'mAP \d\.\d{3}',
}
# Type of a part of the config: its changes for images of 64x64.
SMALL = {
    'RandomResize': dict(scale=(128, 64)),
    'Resize': dict(scale=(128, 64)),
    'RandomCrop': dict(crop_size=(64, 64)),
    'RandomChoiceResize': dict(scales=[(96, 64), (96, 72)]),
    'SegDataPreProcessor': dict(size=(64, 64)),
    'UPerHead': dict(channels=16),
    'FCNHead': dict(channels=16),
}


@pytest.fixture(scope='session')
def workspace(tmp_path_factory) -> Path:
    """A folder to work in: its ``data`` holds all five layouts, where the configs look for them."""
    folder = tmp_path_factory.mktemp('workspace')
    for layout in CONFIGS:
        write_scenes(layout, folder / 'data', images=10, size=64, seed=0)
        write_config(folder, layout)
    return folder


@pytest.fixture
def free_port() -> str:
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return str(free.getsockname()[1])


@pytest.fixture(scope='session')
def trained(workspace):
    """Train on a layout, once for all tests; returns the config, the work directory and what was printed."""

    @cache
    def train(layout: str) -> tuple[str, Path, str]:
        config, work_dir = f'{layout}.py', workspace / 'trained' / layout
        options = ['train_cfg.max_epochs=1'] if layout in ('coco', 'voc2007') else iterations(2)
        options = ['--seed', 7, '--deterministic', '--cfg-options', *options]
        done = run_program(workspace, 'train.py', config, '--work-dir', work_dir, *options)
        return config, work_dir, done.stdout + done.stderr

    return train


def write_config(folder: Path, layout: str) -> None:
    name, changes = CONFIGS[layout]
    cfg = Config.fromfile(ROOT / f'configs/{name}.py')
    for part in dicts(cfg._cfg_dict):
        part.update(SMALL.get(part.get('type'), {}))
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
    cfg.default_hooks.logger.interval = 1
    cfg.merge_from_dict(changes)
    cfg.dump(folder / f'{layout}.py')


def dicts(cfg):
    if isinstance(cfg, dict):
        yield cfg
        cfg = list(cfg.values())
    for part in cfg if isinstance(cfg, list) else ():
        yield from dicts(part)


def iterations(count: int, interval: int | None = None) -> list[str]:
    """Options that train for ``count`` iterations, with a checkpoint and a validation at every ``interval``."""
    interval = interval or count
    return [
        f'train_cfg.max_iters={count}',
        f'train_cfg.val_interval={interval}',
        f'default_hooks.checkpoint.interval={interval}',
    ]


def scalars(work_dir: Path) -> list[dict]:
    """What all runs in ``work_dir`` logged, in the order of the runs."""
    files = sorted(work_dir.glob('*/vis_data/scalars.json'))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def last_checkpoint(work_dir: Path) -> str:
    return (work_dir / 'last_checkpoint').read_text()


@pytest.mark.parametrize(
    'layout', [pytest.param(name, marks=[] if name in ('ade20k', 'coco') else pytest.mark.slow) for name in CONFIGS]
)
def test_trains_and_tests_on(layout, workspace, trained):
    config, work_dir, printed = trained(layout)
    assert 'eta: ' in printed
    assert 'OneDL' not in printed
    assert Config.fromfile(work_dir / config).randomness == dict(seed=7, deterministic=True)
    losses = [entry['loss'] for entry in scalars(work_dir) if 'loss' in entry]
    assert losses and all(0 < loss < float('inf') for loss in losses)
    # The config of Cityscapes is for mixed precision.
    assert ('float32' in printed) == (layout == 'cityscapes')

    assert list(work_dir.glob('*/vis_data/events.out.tfevents.*'))
    best = [path.name for path in work_dir.glob('best_*.pth')]
    assert len(best) == 1
    assert 'mIoU' in best[0] or 'mAP' in best[0]
    tested = run_command(workspace, 'test.py', config, last_checkpoint(work_dir), '--work-dir', 'tested')
    head = CONFIGS[layout][0].split('_')[0]
    assert re.fullmatch(HEADLINES[head], tested.stdout.splitlines()[-1])


def test_a_killed_training_resumes_exactly(workspace):
    """Same losses to the last digit and same weights, whatever the loader's workers and the validations in between."""
    whole, killed = workspace / 'whole', workspace / 'killed'
    options = ['ade20k.py', '--seed', 3, '--cfg-options', 'model.backbone.drop_path_rate=0.3', *iterations(8, 2)]
    workers = ['train_dataloader.num_workers=2', 'train_dataloader.persistent_workers=True']
    run_command(workspace, 'train.py', *options, *workers, 'train_cfg.val_interval=8', f'work_dir={whole}')

    args = command('train.py', *options, *workers, f'work_dir={killed}')
    process = subprocess.Popen(args, cwd=workspace, env=variables(), stdout=subprocess.DEVNULL)

    while not (killed / 'iter_4.pth').exists() or 'iter_4' not in last_checkpoint(killed):
        assert process.poll() is None
        time.sleep(0.02)

    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / 'iter_8.pth').exists()
    resumed_from = int(re.search(r'iter_(\d+)', last_checkpoint(killed))[1])

    before = len(scalars(killed))
    run_command(workspace, 'train.py', '--resume', 'auto', *options, f'work_dir={killed}')
    losses = {entry['step']: entry['loss'] for entry in scalars(whole) if 'loss' in entry}
    resumed = {entry['step']: entry['loss'] for entry in scalars(killed)[before:] if 'loss' in entry}
    assert list(losses) == list(range(1, 9))
    assert list(resumed) == list(range(resumed_from + 1, 9))
    assert resumed == {step: losses[step] for step in resumed}
    expected, found = (torch.load(folder / 'iter_8.pth', weights_only=False) for folder in (whole, killed))
    assert_equal(found['state_dict'], expected['state_dict'])
    assert_equal(found['optimizer'], expected['optimizer'])
    assert found['param_schedulers'] == expected['param_schedulers']


def assert_equal(found, expected) -> None:
    if isinstance(expected, torch.Tensor):
        assert torch.equal(found, expected)
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert_equal(found[key], value)
    elif isinstance(expected, list | tuple):
        for one, other in zip(found, expected, strict=True):
            assert_equal(one, other)
    else:
        assert found == expected


def test_two_processes_train_and_test_like_one(workspace, free_port):
    work_dir = workspace / 'two_processes'
    options = ['--auto-scale-lr', '--cfg-options', *iterations(8), 'param_scheduler=None']
    run_program(workspace, 'dist_train.sh', 'ade20k.py', 2, '--work-dir', work_dir, *options, PORT=free_port)
    # Two processes have two images each; the learning rate is meant for 8.
    rates = {entry['lr'] for entry in scalars(work_dir) if 'lr' in entry}
    assert rates == {Config.fromfile(workspace / 'ade20k.py').optim_wrapper.optimizer.lr * 4 / 8}

    both = ['ade20k.py', last_checkpoint(work_dir)]
    last = ['--work-dir', 'tested', '--cfg-options', 'test_dataloader.batch_size=1']
    two = run_program(workspace, 'dist_test.sh', *both, 2, '--out', 'labels_of_two', *last, PORT=free_port)
    one = run_command(workspace, 'test.py', *both, '--out', 'labels_of_one', *last)
    assert re.fullmatch(HEADLINES['upernet'], one.stdout.splitlines()[-1])
    assert 'pixel accuracy 0.00 %' not in one.stdout
    assert two.stdout.splitlines()[-1] == one.stdout.splitlines()[-1]
    labels = sorted(path.name for path in (workspace / 'labels_of_one').iterdir())
    assert len(labels) == 2

    for name in labels:
        first, second = (workspace / folder / name for folder in ('labels_of_one', 'labels_of_two'))
        assert first.read_bytes() == second.read_bytes()


def test_segmentation_writes_label_maps_and_pictures_and_merges_the_backbone(workspace, trained):
    config, work_dir, _ = trained('ade20k')
    both = [config, last_checkpoint(work_dir), '--work-dir', 'tested']
    plain = run_command(workspace, 'test.py', *both, '--out', 'labels', '--show-dir', 'pictures')
    (workspace / 'averaging.py').write_text(f"_base_ = './{config}'\ncustom_hooks = [dict(type='EMAHook')]\n")
    merged = run_command(workspace, 'test.py', 'averaging.py', *both[1:], '--out', 'labels_merged', '--deploy')
    assert len(list((workspace / 'labels').glob('*.png'))) == 2
    assert len(list((workspace / 'pictures').rglob('*.png'))) == 2
    before, after = re.search(r'SLaK merged: ([\d,]+) parameters before, ([\d,]+) after', merged.stdout).groups()
    assert before != after
    assert merged.stdout.splitlines()[-1] == plain.stdout.splitlines()[-1]


def test_detection_writes_predictions_and_pictures(workspace, trained):
    config, work_dir, _ = trained('coco')
    options = ['--work-dir', 'tested', '--out', 'boxes.pkl', '--show-dir', 'boxes']
    run_command(workspace, 'test.py', config, last_checkpoint(work_dir), *options)
    predictions = load(workspace / 'boxes.pkl')
    assert len(predictions) == len(list((workspace / 'boxes').glob('*.jpg'))) == 2
    instances = predictions[0]['pred_instances']
    assert len(instances['bboxes']) == len(instances['scores']) == len(instances['masks']) > 0


@pytest.mark.parametrize('layout', ['ade20k', pytest.param('voc2007', marks=pytest.mark.slow)])
def test_test_time_augmentation(layout, workspace, trained):
    config, work_dir, _ = trained(layout)
    done = run_command(workspace, 'test.py', config, last_checkpoint(work_dir), '--tta', '--work-dir', 'tested')
    assert re.fullmatch(HEADLINES[CONFIGS[layout][0].split('_')[0]], done.stdout.splitlines()[-1])


def test_missing_data_ends_in_one_sentence(tmp_path):
    for name, more in (('train.py', []), ('test.py', ['some.pth'])):
        done = run_command(tmp_path, name, ROOT / 'configs/upernet_slak_b_ade20k.py', *more, fails=True)
        (sentence,) = (line for line in done.stderr.splitlines() if 'Warning' not in line and not line.startswith(' '))
        assert sentence.startswith(f'{name}: no data for ')
        assert 'OneDL' not in done.stdout


@pytest.mark.parametrize(
    ('name', 'options'),
    [
        ('train.py', ['model.backbone.init_cfg.type=Pretrained', f'model.backbone.init_cfg.checkpoint={OFFICIAL}']),
        ('train.py', [f'load_from={OFFICIAL}']),
        ('test.py', ['test_evaluator.iou_metrics=mIoU']),
    ],
    ids=['init_cfg', 'load_from', 'CHECKPOINT'],
)
def test_a_checkpoint_that_does_not_fit_ends_in_one_sentence(name, options, workspace):
    args = ['ade20k.py', *([OFFICIAL] if name == 'test.py' else []), '--work-dir', 'misfit', '--cfg-options', *options]
    done = run_command(workspace, name, *args, fails=True)
    assert 'Traceback' not in done.stdout + done.stderr
    sentence = done.stderr.splitlines()[-1]
    assert sentence.startswith(f'{name}: ')
    assert str(OFFICIAL) in sentence
    assert 'does not fit this SLaK' in sentence


def old_checkpoint(config: Path, name: str, path: Path) -> Path:
    """Write a whole model as mmsegmentation 0.x and mmdetection 2.x did, around an official backbone."""
    official = unwrap(read(OFFICIAL.with_name(f'{name}.pth')))
    backbone = {f'backbone.{key}': value for key, value in official.items() if not key.startswith(('norm.', 'head.'))}
    heads = {
        key: value for key, value in load_model(read_config(config)).state_dict().items() if key[:9] != 'backbone.'
    }
    state = {f'module.{key}': value for key, value in (backbone | heads).items()}
    meta = dict(CLASSES=('square', 'disk'), PALETTE=[[9, 9, 9]], config='raise SystemExit("run")', epoch=12, iter=99)
    torch.save(dict(meta=meta, state_dict=state, optimizer=dict(state={}, param_groups=[dict(lr=1e-4)])), path)
    return path


@pytest.mark.parametrize(
    ('layout', 'name'),
    [('ade20k', 'slak_51_decomposed'), pytest.param('coco', 'replknet_31_small5', marks=pytest.mark.slow)],
)
def test_whole_checkpoints_of_the_older_frameworks_load(layout, name, workspace):
    found = recognise(read(OFFICIAL.with_name(f'{name}.pth')))
    cfg = Config.fromfile(workspace / f'{layout}.py')
    cfg.model.backbone = dict(type=found.family.__name__, **found.arguments)
    widths = list(found.family(**found.arguments).out_channels)

    if layout == 'ade20k':
        cfg.model.decode_head.in_channels, cfg.model.auxiliary_head.in_channels = widths, widths[2]
    else:
        cfg.model.neck.in_channels = widths

    config = workspace / f'{name}.py'
    cfg.dump(config)
    checkpoint = old_checkpoint(config, name, workspace / f'{name}.pth')
    done = run_command(workspace, 'test.py', config, checkpoint, '--work-dir', 'old')
    assert 'all weights found in the checkpoint' in done.stdout
    assert 'do not match exactly' not in done.stdout
    expected = torch.load(OFFICIAL.with_name(f'{name}.expected.pt'))
    model = load_model(read_config(config), checkpoint)

    for ours, theirs in zip(model.backbone(expected['input']), expected['outs'], strict=True):
        assert (ours - theirs).abs().max() <= 1e-4 * theirs.abs().max()

    options = ['train_cfg.max_epochs=1'] if layout == 'coco' else iterations(1)
    done = run_command(
        workspace,
        'train.py',
        config,
        '--work-dir',
        f'from_{name}',
        '--cfg-options',
        f'load_from={checkpoint}',
        *options,
    )
    assert 'all weights found in the checkpoint' in done.stdout


@pytest.mark.slow
def test_a_compiled_backbone_trains_sparsely_and_saves_under_the_same_names(workspace, trained):
    _, work_dir, _ = trained('ade20k')
    (workspace / 'compiled.py').write_text(
        "_base_ = './ade20k.py'\n"
        "compile_backbone = dict(backend='aot_eager')\n"
        "custom_hooks = [dict(type='SparseTrainingHook', distribution='uniform', interval=1)]\n"
    )
    done = run_command(workspace, 'train.py', 'compiled.py', '--work-dir', 'compiled', '--cfg-options', *iterations(2))
    assert 'pruned' in done.stdout and '60.0% are active' in done.stdout
    saved, plain = (
        torch.load(path, weights_only=False) for path in map(last_checkpoint, (workspace / 'compiled', work_dir))
    )
    assert saved['state_dict'].keys() == plain['state_dict'].keys()


def test_sharding_without_gpus_is_refused(workspace):
    done = run_command(workspace, 'train.py', 'ade20k.py', '--strategy', 'fsdp', '--work-dir', 'sharded', fails=True)
    assert '--strategy fsdp needs a launcher and several processes with a GPU each' in done.stderr.splitlines()[-1]


def test_a_deployed_checkpoint_gives_the_same_numbers(workspace, trained):
    config, work_dir, _ = trained('ade20k')
    source = last_checkpoint(work_dir)
    done = run_command(workspace, 'deploy', config, source, 'deployed.safetensors')
    command_line = done.stdout.splitlines()[-1].split()
    assert command_line[:2] == ['lkdense', 'test']
    merged = run_command(workspace, 'test.py', *command_line[2:])
    plain = run_command(workspace, 'test.py', config, source)
    assert merged.stdout.splitlines()[-1] == plain.stdout.splitlines()[-1]
    done = run_command(workspace, 'test.py', config, 'deployed.safetensors', fails=True)
    assert 'deploy=True' in done.stderr.splitlines()[-1]


def test_what_changes_the_maps_is_not_deployed(workspace, trained, monkeypatch):
    monkeypatch.setattr(StripLargeKernel, 'merged', lambda self: self.vertical.merged())
    config, work_dir, _ = trained('ade20k')
    target = workspace / 'broken.pth'
    with pytest.raises(SystemExit, match='merged, the backbone gives other maps'):
        main(['deploy', str(workspace / config), str(last_checkpoint(work_dir)), str(target)])
    assert not target.exists()


def test_a_base_that_is_not_there(workspace, tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text("_base_ = 'nowhere.py'")
    done = run_command(workspace, 'train.py', path, fails=True)
    assert 'inherits from a config that is not there' in done.stderr.splitlines()[-1]


@pytest.mark.parametrize('hostile', ['train.py', 'test.py', 'deploy', 'export', 'erf'])
def test_no_command_unpickles_unasked(hostile, workspace, tmp_path):
    class Command:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / 'made'),)

    torch.save(dict(state_dict={'backbone.a': torch.ones(1)}, extra=Command()), tmp_path / 'hostile.pth')
    more = {
        'train.py': ['ade20k.py', '--resume', tmp_path / 'hostile.pth'],
        'test.py': ['ade20k.py', tmp_path / 'hostile.pth'],
        'erf': ['ade20k.py', tmp_path / 'hostile.pth', '--images', 'data'],
    }.get(hostile, ['ade20k.py', tmp_path / 'hostile.pth', tmp_path / 'out.pth'])
    done = run_command(workspace, hostile, *more, fails=True)
    assert 'posix.mkdir' in done.stderr.splitlines()[-1] and '--trust-checkpoint' in done.stderr.splitlines()[-1]
    assert not (tmp_path / 'made').exists()

    # It fails again, because the weights fit nothing.
    run_command(workspace, hostile, *more, '--trust-checkpoint', fails=True)
    assert (tmp_path / 'made').exists()


@pytest.mark.parametrize('script', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh'])
def test_a_script_without_arguments_says_how_to_call_it(script, tmp_path):
    done = subprocess.run(command(script), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f'{script} ' in done.stderr


def test_slurm_gets_a_task_for_each_gpu(tmp_path):
    srun = tmp_path / 'srun'
    srun.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    srun.chmod(0o755)
    path = os.pathsep.join([str(tmp_path), os.environ['PATH']])
    options = ['a partition', 'job', 'config.py', '--cfg-options', 'key=[1, 2]']
    done = run_program(tmp_path, 'slurm_train.sh', *options, PATH=path, GPUS='4', SRUN_ARGS='--quiet --exclusive')
    given = done.stdout.splitlines()
    assert {'--partition=a partition', '--ntasks=4', '--ntasks-per-node=4', '--gres=gpu:4'} <= set(given)
    assert {'--quiet', '--exclusive'} <= set(given)
    assert given[-5:] == ['config.py', '--launcher', 'slurm', '--cfg-options', 'key=[1, 2]']
