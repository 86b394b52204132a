"""Studies as a user runs them: cells are trained by the real runner, once, and continue after a kill."""

import fcntl
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from lkdense.commands import main
from lkdense.errors import UserError
from lkdense.study import read_results, run_cell, run_here, run_in_cluster, schedule, write_plan

ROOT = Path(__file__).parents[2]
ITERATIONS = 12
METRICS = {'aAcc': 51.0}


@pytest.fixture
def folder(tmp_path):
    """A study of two cells that takes seconds: 12 iterations each, with a checkpoint after every one."""
    return plan(tmp_path)


@pytest.fixture(scope='module')
def untrained(tmp_path_factory):
    """The same study, which tests share that train nothing in it."""
    return plan(tmp_path_factory.mktemp('untrained'))


def plan(parent: Path) -> Path:
    """Write the plan of a study of two small cells below ``parent`` and return its folder."""
    root = '{data}/reach'
    options = {
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
    }
    erf = dict(images=str(parent / 'two/data/reach/images/val'), count=1, size=[64, 96])
    reach = dict(kind='segmentation', config='studies/fcn_stage1_reach', distances=[24], chance=50.0, erf=erf)

    arch = dict(depths=[1, 1, 1, 1], dims=[16, 8, 8, 8])
    study = {
        'title': 'Two cells',
        'seeds': [0],
        'families': {'one': dict(type='lkdense.ConvNeXt', arch=arch)},
        'kernels': {'7': dict(kernel_sizes=[7, 7, 7, 7]), '13': dict(kernel_sizes=[13, 13, 13, 13])},
        'tasks': {'reach': dict(options=options, **reach)},
        'data': {'reach': dict(make='reach', distance=24, train=4, val=2)},
    }

    (parent / 'study.yml').write_text(yaml.safe_dump(study))
    write_plan(study, parent / 'two')
    return parent / 'two'


def start(folder: Path) -> subprocess.Popen:
    command = [sys.executable, '-m', 'lkdense', 'study', 'run', str(folder)]
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def check_result(result: dict) -> None:
    assert [step for step, _ in result['curve']] == list(range(1, ITERATIONS + 1))
    assert 0 <= result['metrics']['aAcc'] <= 100
    assert result['seconds_per_iteration'] > 0
    assert result['memory_mib'] > 100
    assert result['cost_size'] == [128, 128]

    # The areas for four shares are measured with random and with trained weights.
    assert [area['trained'] for area in result['erf']] == [False] * 4 + [True] * 4
    assert all(0 < area['ratio'] <= 1 for area in result['erf'])


def test_a_cell_is_trained_once_and_its_result_is_read(folder):
    smaller = folder / 'cells/reach-one-k7-d24-s0'
    result = run_cell(smaller, threads=1)
    check_result(result)

    assert (result['name'], result['kernel'], result['reach'], result['distance']) == (smaller.name, '7', 7, 24)
    output = (smaller / 'output.txt').read_text()
    assert run_cell(smaller, threads=1)['curve'] == [list(point) for point in result['curve']]
    assert (smaller / 'output.txt').read_text() == output

    study = read_results(folder)
    assert [result['name'] for result in study['results']] == [smaller.name]
    assert (study['title'], study['machine']) == ('Two cells', result['machine'])


@pytest.mark.slow
def test_goes_on_after_a_kill(folder):
    first, second = sorted((folder / 'cells').iterdir())
    study = start(folder)
    while not list(second.glob('work/iter_*.pth')):
        assert study.poll() is None, study.stdout.read()
        time.sleep(0.05)

    # Only the process itself is killed, not its group: the processes that it has started must end by themselves.
    study.kill()
    study.wait()
    assert not (second / 'result.json').exists()
    finished_at = (first / 'result.json').stat().st_mtime_ns

    study = start(folder)
    output, _ = study.communicate()
    assert study.returncode == 0, output
    assert '2 cells, 1 of them done' in output
    assert (first / 'result.json').stat().st_mtime_ns == finished_at
    assert 'resumed' in (second / 'output.txt').read_text()

    large, small = read_results(folder)['results']
    assert (large['kernel'], large['reach'], large['distance']) == ('13', 13, 24)
    assert (small['kernel'], small['reach'], small['distance']) == ('7', 7, 24)
    for result in (large, small):
        check_result(result)
    # Kernels of 13x13 replace those of 7x7 on 16 channels in the first stage and 8 in each of the three others.
    assert large['parameters'] - small['parameters'] == (13**2 - 7**2) * (16 + 3 * 8)


@pytest.mark.slow
def test_a_validation_that_was_stopped_is_made_up_for(folder):
    cell = next((folder / 'cells').iterdir())
    expected = run_cell(cell, threads=1)

    # The files now look as if it was killed after the last iteration and before the end of the validation.
    (cell / 'result.json').unlink()
    (log,) = cell.glob('work/*/vis_data/scalars.json')
    steps = [line for line in log.read_text().splitlines() if 'aAcc' not in line]
    assert len(steps) == ITERATIONS
    log.write_text('\n'.join(steps) + '\n')

    result = run_cell(cell, threads=1)
    assert result['metrics'] == expected['metrics']
    assert result['curve'] == expected['curve']


@pytest.mark.parametrize(
    ('options', 'message'),
    [(['--jobs', '0'], '--jobs must be at least 1, got 0'), (['--only', 'k99'], "has 'k99' in its name")],
)
def test_impossible_options_are_refused(options, message, untrained):
    with pytest.raises(SystemExit, match=message):
        main(['study', 'run', str(untrained), *options])


def test_a_training_that_fails_is_reported_with_its_last_lines(untrained, tmp_path, monkeypatch):
    program = tmp_path / 'python'
    program.write_text('#!/bin/sh\nseq 1 30\necho NoSuchModel is not in the registry\nexit 3\n')
    program.chmod(0o700)
    monkeypatch.setattr(sys, 'executable', str(program))
    cell = next((untrained / 'cells').iterdir())
    with pytest.raises(UserError, match='training ended with code 3') as error:
        run_cell(cell)

    assert str(error.value).splitlines()[1:] == [*map(str, range(17, 31)), 'NoSuchModel is not in the registry']
    assert not (cell / 'result.json').exists()


def test_a_cell_that_fails_stops_no_other(monkeypatch):
    def run(folder, threads):
        if folder.name == 'first':
            raise UserError('training ended with code 3')
        return {'metrics': METRICS}

    monkeypatch.setattr(schedule, 'run_cell', run)
    monkeypatch.setattr(schedule, 'ProcessPoolExecutor', lambda jobs, *_, **__: ThreadPoolExecutor(jobs))
    outcomes = {}
    run_here([Path('first'), Path('second'), Path('third')], jobs=2, on_end=outcomes.__setitem__)
    assert isinstance(outcomes.pop('first'), UserError)
    assert outcomes == {'second': {'metrics': METRICS}, 'third': {'metrics': METRICS}}


@pytest.mark.slow
def test_a_process_whose_cell_fails_stops_no_other(folder):
    first, second = sorted((folder / 'cells').iterdir())
    config = first / 'config.py'
    config.write_text(config.read_text().replace("type='EncoderDecoder'", "type='NoSuchModel'"))
    outcomes = {}
    run_here([first, second], jobs=2, on_end=outcomes.__setitem__)
    assert isinstance(outcomes[first.name], UserError)
    assert 'NoSuchModel' in str(outcomes[first.name])
    assert outcomes[second.name]['metrics']['aAcc'] >= 0


def test_one_cell_is_trained_by_one_process_only(untrained):
    cell = next((untrained / 'cells').iterdir())
    with (cell / 'output.txt').open('a') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match='another process is training it'):
            run_cell(cell)


@pytest.mark.slow
def test_jobs_of_submitit(folder):
    pytest.importorskip('submitit')
    outcomes = {}
    cells = sorted((folder / 'cells').iterdir())
    run_in_cluster(cells, 'local', 2, dict(timeout_min=10), outcomes.__setitem__)
    assert {name: result['name'] for name, result in outcomes.items()} == {cell.name: cell.name for cell in cells}


def test_no_plan(tmp_path):
    with pytest.raises(UserError, match='there is no plan in'):
        read_results(tmp_path)
