"""One cell of a study: train its config as ``lkdense train`` does, and keep the result in one file."""

import fcntl
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from resource import struct_rusage

import torch

from ..analysis import area_ratios, compute_cost, compute_erf, whole_pass
from ..analysis.machine import device_name
from ..config import read_config
from ..errors import UserError
from ..inference.media import find_images, model_images
from ..models import build_model, load_model
from .plan import CELL, CONFIG, STUDY

RESULT = 'result.json'
# An error repeats so many of the last lines that a failed training has printed.
LAST_LINES = 15
# MMEngine logs metrics and losses together; a metric's name begins with one of these.
METRIC_PREFIXES = ('mIoU', 'mAcc', 'aAcc', 'accuracy/top1', 'coco/')
# Costs are counted for this height and width in pixels if the config does not fix the size of the images.
COST_SIZE = (256, 256)
# The result of a cell repeats these entries of its plan.
PLAN_KEYS = ('name', 'family', 'kernel', 'head', 'distance', 'seed', 'chance', 'size')
# The trainings that this process is waiting for.
_trainings: set[subprocess.Popen] = set()


def is_done(folder: Path) -> bool:
    """Return whether the cell in ``folder`` has its result."""
    return (folder / RESULT).is_file()


def run_cell(folder: str | Path, threads: int = 0) -> dict:
    """Train the cell in ``folder`` and return its result.

    A training that was interrupted continues from its last checkpoint, and one that has finished is not repeated. On
    the command line: ``lkdense study run DIR --only NAME``.

    Args:
        folder: the cell's own, with the config that :func:`write_plan` wrote there.
        threads: number of threads of the process; 0 leaves it to PyTorch.

    Raises:
        UserError: the training failed, and the message ends with its last lines; or another process is training it.
    """
    folder = Path(folder)
    if is_done(folder):
        return json.loads((folder / RESULT).read_text())

    if threads:
        torch.set_num_threads(threads)
    memory = _train(folder, threads)
    if not _read_metrics(folder / 'work'):
        # An earlier try was killed between its last iteration and the end of its validation. MMEngine does not repeat
        # that validation when it resumes, so the training starts anew.
        shutil.rmtree(folder / 'work')
        memory = _train(folder, threads)

    result = _collect_result(folder, threads, memory)
    partial = folder / f'.{RESULT}'
    partial.write_text(json.dumps(result, indent=1) + '\n')
    partial.rename(folder / RESULT)

    return result


def stop_trainings() -> None:
    """Kill the trainings that this process waits for; the next run resumes them from their last checkpoints."""
    for training in list(_trainings):
        training.kill()


def read_results(folder: Path) -> dict:
    """Return a study with the results of all cells that are done, ready for :func:`write_report`.

    On the command line, ``lkdense study report DIR`` reads the results and writes the report.

    Args:
        folder: the study's own, as given to :func:`write_plan`.

    Raises:
        UserError: there is no plan in ``folder``.
    """
    if not (folder / STUDY).is_file():
        raise UserError(f'there is no plan in {folder}: lkdense study plan STUDY --out {folder}')

    study = json.loads((folder / STUDY).read_text())
    paths = sorted((folder / 'cells').glob(f'*/{RESULT}'), key=lambda path: path.parent.name)
    results = [json.loads(path.read_text()) for path in paths]

    return {
        'study': folder.name,
        'title': study['title'],
        'upstream': _upstream(study),
        'recipe': study.get('recipe', {}),
        'confounds': study.get('confounds', []),
        'machine': results[-1]['machine'] if results else describe_machine(),
        'results': results,
    }


def describe_machine() -> dict[str, str]:
    """Return the device and the version of PyTorch that figures are measured with, and today's date."""
    return {'device': device_name(), 'torch': torch.__version__, 'date': time.strftime('%Y-%m-%d')}


def _upstream(study: dict) -> dict | None:
    name = study.get('upstream')
    return None if name is None else {'task': study['tasks'][name]['kind'], 'data': name}


def _train(folder: Path, threads: int) -> float:
    """Run the training and return its peak memory in MiB."""
    command = [sys.executable, '-m', 'lkdense', 'train', str(folder / CONFIG), '--resume']

    with (folder / 'output.txt').open('a') as output:
        try:
            fcntl.flock(output, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f'{folder.name}: another process is training it') from None

        # The training inherits the lock and holds it as long as it runs.
        training = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=_environment(threads), pass_fds=[output.fileno()]
        )
        usage = _wait(training)

    if training.returncode:
        lines = (folder / 'output.txt').read_text(errors='replace').splitlines()[-LAST_LINES:]
        raise UserError(f'{folder.name}: training ended with code {training.returncode}:\n' + '\n'.join(lines))

    # The unit is a kilobyte on Linux and a byte on macOS.
    return usage.ru_maxrss / (2**20 if sys.platform == 'darwin' else 2**10)


def _environment(threads: int) -> dict[str, str]:
    """Return the environment of a training, in which Python finds this very lkdense even if another is installed."""
    paths = [str(Path(__file__).parents[2])]
    if os.environ.get('PYTHONPATH'):
        paths.append(os.environ['PYTHONPATH'])

    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(paths)}
    if threads:
        environment['OMP_NUM_THREADS'] = str(threads)
    return environment


def _wait(training: subprocess.Popen) -> struct_rusage:
    """Wait for a training, set its ``returncode`` and return the resources that it used."""
    _trainings.add(training)
    try:
        _, status, usage = os.wait4(training.pid, 0)
    except BaseException:
        training.kill()
        raise
    finally:
        _trainings.discard(training)

    training.returncode = os.waitstatus_to_exitcode(status)
    return usage


def _read_scalars(work: Path) -> list[dict]:
    """Return what MMEngine has logged in all tries, the oldest first."""
    scalars = []
    for path in sorted(work.glob('*/vis_data/scalars.json')):
        scalars += [json.loads(line) for line in path.read_text().splitlines()]

    return scalars


def _read_metrics(work: Path) -> dict:
    """Return the metrics of the last validation."""
    metrics = {}
    for scalars in _read_scalars(work):
        for key, value in scalars.items():
            if key.startswith(METRIC_PREFIXES):
                metrics[key] = value

    return metrics


def _collect_result(folder: Path, threads: int, memory: float) -> dict:
    """Return the result of a training: its logged figures, the cost of its model, and its receptive field."""
    metrics = _read_metrics(folder / 'work')
    if not metrics:
        raise UserError(f'{folder.name}: its config has no validation that gives one of {", ".join(METRIC_PREFIXES)}')

    cell = json.loads((folder / CELL).read_text())
    sizes = cell['backbone']['kernel_sizes']
    sides = [max(size) if isinstance(size, list) else size for size in sizes]

    losses, seconds = {}, []
    for scalars in _read_scalars(folder / 'work'):
        if 'loss' in scalars:
            # An interrupted training logs some iterations twice; the later one counts.
            losses[scalars['step']] = scalars['loss']
            seconds.append(scalars['time'])

    return {
        **{key: cell[key] for key in PLAN_KEYS},
        'task': cell['kind'],
        'data': cell['task'],
        'kernel_sizes': sizes,
        'reach': max(sides),
        'strips': cell['backbone'].get('decompose', False),
        'metrics': metrics,
        'curve': sorted(losses.items()),
        'seconds_per_iteration': statistics.median(seconds),
        'memory_mib': memory,
        'threads': threads,
        'machine': describe_machine(),
        **_count_cost(folder),
        'erf': _measure_erf(folder, cell['erf']) if cell['erf'] else [],
    }


def _count_cost(folder: Path) -> dict:
    """Return the cost of the whole model for one image, and the size of that image."""
    cfg = read_config(str(folder / CONFIG))
    preprocessor = cfg.model.get('data_preprocessor') or {}
    size = tuple(preprocessor.get('size') or COST_SIZE)
    cost = compute_cost(build_model(cfg), size, whole_pass)

    return {'parameters': cost.parameters, 'macs': cost.macs, 'cost_size': list(size)}


def _measure_erf(folder: Path, options: dict) -> list[dict]:
    """Return the areas of the backbone's effective receptive field, with random weights and with the trained ones."""
    cfg = read_config(str(folder / CONFIG))
    paths = find_images(options['images'], options['count'])
    trained = (folder / 'work/last_checkpoint').read_text()

    areas = []
    for checkpoint in (None, trained):
        backbone = load_model(cfg, checkpoint).backbone
        contribution = compute_erf(backbone, model_images(cfg, paths, options['size']))
        for area in area_ratios(contribution):
            areas.append({**area._asdict(), 'trained': checkpoint is not None})

    return areas
