"""Studies as a user runs them: cells are trained by the real runner, once, and go on after a kill."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from lkdense.commands import main
from lkdense.errors import UserError
from lkdense.study import read_results, run_cell, run_here, run_in_cluster, write_plan

ROOT = Path(__file__).parents[2]
ITERATIONS = 12


@pytest.fixture
def folder(tmp_path):
    """A study of two cells that takes seconds: 12 iterations each, with a checkpoint after every one."""
    root = '{data}/reach'
    study = {
        'title': 'Two cells',
        'seeds': [0],
        'families': {
            'one': dict(type='lkdense.ConvNeXt', arch=dict(depths=[1, 1, 1, 1], dims=[16, 8, 8, 8])),
        },
        'kernels': {'7': dict(kernel_sizes=[7, 7, 7, 7]), '13': dict(kernel_sizes=[13, 13, 13, 13])},
        'tasks': {
            'reach': dict(
                kind='segmentation',
                config='studies/fcn_stage1_reach',
                distances=[24],
                chance=50.0,
                erf=dict(images=str(tmp_path / 'two/data/reach/images/val'), count=1, size=[64, 96]),
                options={
                    'train_dataloader.dataset.data_root': root,
                    'val_dataloader.dataset.data_root': root,
                    'test_dataloader.dataset.data_root': root,
                    'train_dataloader.num_workers': 0,
                    'train_dataloader.persistent_workers': False,
                    'train_dataloader.batch_size': 1,
                    'model.decode_head.in_channels': 16,
                    'model.decode_head.channels': 16,
                    'train_cfg.max_iters': ITERATIONS,
                    'train_cfg.val_interval': ITERATIONS,
                    'default_hooks.logger.interval': 1,
                    'default_hooks.checkpoint.interval': 1,
                },
            )
        },
        'data': {'reach': dict(make='reach', distance=24, train=4, val=2)},
    }
    (tmp_path / 'study.yml').write_text(yaml.safe_dump(study))
    write_plan(study, tmp_path / 'two')

    return tmp_path / 'two'


def start(folder):
    command = [sys.executable, str(ROOT / 'tools/kernel_study.py'), 'run', str(folder)]
    environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_goes_on_after_a_kill(folder):
    first, second = sorted((folder / 'cells').iterdir())
    study = start(folder)
    while not list(second.glob('work/iter_*.pth')):
        assert study.poll() is None, study.stdout.read()
        time.sleep(0.05)

    # not its group: what it has started must end by itself
    study.kill()
    study.wait()
    assert not (second / 'result.json').exists()
    kept = (first / 'result.json').stat().st_mtime_ns

    study = start(folder)
    said, _ = study.communicate()
    assert study.returncode == 0, said
    assert '2 cells, 1 of them done' in said
    assert (first / 'result.json').stat().st_mtime_ns == kept
    assert 'resumed' in (second / 'output.txt').read_text()

    results = read_results(folder)['results']
    assert [(result['kernel'], result['reach'], result['distance']) for result in results] == [
        ('13', 13, 24),
        ('7', 7, 24),
    ]

    for result in results:
        assert [step for step, _ in result['curve']] == list(range(1, ITERATIONS + 1))
        assert 0 <= result['metrics']['aAcc'] <= 100
        assert result['seconds_per_iteration'] > 0
        assert result['memory_mib'] > 100
        assert result['cost_size'] == [128, 128]
        # four shares each with random and with trained weights
        assert [area['trained'] for area in result['erf']] == [False] * 4 + [True] * 4
        assert all(0 < area['ratio'] <= 1 for area in result['erf'])

    # one kernel of 13x13 in place of one of 7x7, on 16 channels; the other stages are smaller
    assert results[0]['parameters'] - results[1]['parameters'] == (13**2 - 7**2) * (16 + 3 * 8)


@pytest.mark.slow
def test_a_validation_that_was_stopped_is_made_up_for(folder):
    cell = next((folder / 'cells').iterdir())
    expected = run_cell(cell, threads=1)
    # as if killed after the last step and before the end of the validation
    (cell / 'result.json').unlink()
    (log,) = cell.glob('work/*/vis_data/scalars.json')
    steps = [line for line in log.read_text().splitlines() if 'aAcc' not in line]
    assert len(steps) == ITERATIONS
    log.write_text('\n'.join(steps) + '\n')
    found = run_cell(cell, threads=1)
    assert found['metrics'] == expected['metrics']
    assert found['curve'] == expected['curve']


@pytest.mark.parametrize(
    ('options', 'message'),
    [(['--jobs', '0'], '--jobs must be at least 1, got 0'), (['--only', 'k99'], "has 'k99' in its name")],
)
def test_options_that_cannot_be_are_said(options, message, folder):
    with pytest.raises(SystemExit, match=message):
        main(['study', 'run', str(folder), *options])


def test_a_cell_that_fails_is_told_and_stops_no_other(folder):
    first, second = sorted((folder / 'cells').iterdir())
    config = first / 'config.py'
    config.write_text(config.read_text().replace("type='EncoderDecoder'", "type='NoSuchModel'"))
    told = {}
    run_here([first, second], jobs=2, tell=told.__setitem__)
    assert isinstance(told[first.name], UserError)
    assert 'NoSuchModel' in str(told[first.name])
    assert told[second.name]['metrics']['aAcc'] >= 0


def test_one_cell_is_trained_by_one_process_only(folder):
    import fcntl

    cell = next((folder / 'cells').iterdir())
    with (cell / 'output.txt').open('a') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match='another process is training it'):
            run_cell(cell)


@pytest.mark.slow
def test_jobs_of_submitit(folder):
    pytest.importorskip('submitit')
    told = {}
    cells = sorted((folder / 'cells').iterdir())
    run_in_cluster(cells, 'local', 2, dict(timeout_min=10), told.__setitem__)
    assert {name: result['name'] for name, result in told.items()} == {cell.name: cell.name for cell in cells}


def test_no_plan(tmp_path):
    with pytest.raises(UserError, match='there is no plan in'):
        read_results(tmp_path)
