"""One cell of a study: train its config with tools/train.py's own code, and keep what came of it in one file."""

import fcntl
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

from ..analysis import area_ratios, compute_cost, compute_erf, whole_pass
from ..analysis.machine import device_name
from ..config import read_config
from ..errors import UserError
from ..inference.media import find_images, model_images
from ..models import build_model, load_model
from .plan import CELL, CONFIG, STUDY

RESULT = 'result.json'
# lines of a failed training's output that its error repeats
SHOWN = 15
# what tells a metric from a loss in MMEngine's scalars
METRICS = ('mIoU', 'mAcc', 'aAcc', 'accuracy/top1', 'coco/')
# height and width in pixels for which costs are counted where a config's model does not fix the size of its images
COST_SIZE = (256, 256)
# what this process waits for
_trainings: set[subprocess.Popen] = set()


def is_done(folder: Path) -> bool:
    """Whether the cell in ``folder`` has its result."""
    return (folder / RESULT).is_file()


def run_cell(folder: str | Path, threads: int = 0) -> dict:
    """Train the cell in ``folder``, from where an earlier try stopped, and return its result; a finished one as it is.

    Args:
        folder: with the config, as the plan wrote it.
        threads: of the process; 0 leaves that to PyTorch.

    Raises:
        UserError: the training failed, and the message ends with its last lines; or another process is at it.
    """
    folder = Path(folder)
    if is_done(folder):
        return json.loads((folder / RESULT).read_text())
    if threads:
        torch.set_num_threads(threads)

    memory = _train(folder, threads)
    if not _metrics(folder / 'work'):
        # stopped between its last step and the end of its validation, which MMEngine does not repeat
        shutil.rmtree(folder / 'work')
        memory = _train(folder, threads)

    result = _result(folder, threads, memory)
    partial = folder / f'.{RESULT}'
    partial.write_text(json.dumps(result, indent=1) + '\n')
    partial.rename(folder / RESULT)

    return result


def stop_trainings() -> None:
    """Kill the trainings that this process waits for; the next try goes on from their last checkpoints."""
    for child in list(_trainings):
        child.kill()


def read_results(folder: Path) -> dict:
    """Return a study with the results of all its cells that are done, as :func:`write_report` takes it.

    Raises:
        UserError: there is no plan in ``folder``.
    """
    if not (folder / STUDY).is_file():
        raise UserError(f'there is no plan in {folder}: lkdense study plan STUDY --out {folder}')

    study = json.loads((folder / STUDY).read_text())
    done = sorted((folder / 'cells').glob(f'*/{RESULT}'), key=lambda path: path.parent.name)
    results = [json.loads(path.read_text()) for path in done]

    return {
        'study': folder.name,
        'title': study['title'],
        'upstream': _upstream(study),
        'recipe': study.get('recipe', {}),
        'confounds': study.get('confounds', []),
        'machine': results[-1]['machine'] if results else measured_on(),
        'results': results,
    }


def measured_on() -> dict[str, str]:
    """Return what the figures of a study were measured on, and when."""
    return {'device': device_name(), 'torch': torch.__version__, 'date': time.strftime('%Y-%m-%d')}


def _upstream(study: dict) -> dict | None:
    name = study.get('upstream')
    return None if name is None else {'task': study['tasks'][name]['kind'], 'data': name}


def _train(folder: Path, threads: int) -> float:
    """Run the training and return the most memory it held, in MiB."""
    environment = {**os.environ, **({'OMP_NUM_THREADS': str(threads)} if threads else {})}
    # this very lkdense, also where another is installed
    environment['PYTHONPATH'] = os.pathsep.join(
        filter(None, [str(Path(__file__).parents[2]), environment.get('PYTHONPATH')])
    )
    command = [sys.executable, '-m', 'lkdense', 'train', str(folder / CONFIG), '--resume']

    with (folder / 'output.txt').open('a') as output:
        try:
            fcntl.flock(output, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f'{folder.name}: another process is training it') from None

        # the training inherits the lock, and holds it as long as it runs
        child = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=environment, pass_fds=[output.fileno()]
        )
        _trainings.add(child)

        try:
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:
            child.kill()
            raise
        finally:
            _trainings.discard(child)

        child.returncode = os.waitstatus_to_exitcode(status)

    if child.returncode:
        last = (folder / 'output.txt').read_text(errors='replace').splitlines()[-SHOWN:]
        raise UserError(f'{folder.name}: training ended with code {child.returncode}:\n' + '\n'.join(last))

    # kilobytes, but on macOS bytes
    return usage.ru_maxrss / (2**20 if sys.platform == 'darwin' else 2**10)


def _scalars(work: Path) -> list[dict]:
    """Return what MMEngine logged, of all tries, the oldest first."""
    files = sorted(work.glob('*/vis_data/scalars.json'))
    return [json.loads(line) for path in files for line in path.read_text().splitlines()]


def _result(folder: Path, threads: int, memory: float) -> dict:
    """Return what came of a training: its logged figures, the cost of its model, and its receptive field."""
    if not (metrics := _metrics(folder / 'work')):
        raise UserError(f'{folder.name}: its config has no validation that leaves one of {", ".join(METRICS)}')

    cell = json.loads((folder / CELL).read_text())
    steps = [line for line in _scalars(folder / 'work') if 'loss' in line]
    sizes = cell['backbone']['kernel_sizes']

    return {
        **{key: cell[key] for key in ('name', 'family', 'kernel', 'head', 'distance', 'seed', 'chance', 'size')},
        'task': cell['kind'],
        'data': cell['task'],
        'kernel_sizes': sizes,
        'reach': max(max(size) if isinstance(size, list) else size for size in sizes),
        'strips': cell['backbone'].get('decompose', False),
        'metrics': metrics,
        'curve': sorted({line['step']: line['loss'] for line in steps}.items()),
        'seconds_per_iteration': statistics.median(line['time'] for line in steps),
        'memory_mib': memory,
        'threads': threads,
        'machine': measured_on(),
        **_cost(folder),
        'erf': _erf(folder, cell['erf']) if cell['erf'] else [],
    }


def _metrics(work: Path) -> dict:
    """Return the metrics of the last validation."""
    return {key: value for line in _scalars(work) for key, value in line.items() if key.startswith(METRICS)}


def _cost(folder: Path) -> dict:
    """Return what the whole model costs for one image, and the size of that image."""
    cfg = read_config(str(folder / CONFIG))
    size = tuple((cfg.model.get('data_preprocessor') or {}).get('size') or COST_SIZE)
    cost = compute_cost(build_model(cfg), size, whole_pass)
    return {'parameters': cost.parameters, 'macs': cost.macs, 'cost_size': list(size)}


def _erf(folder: Path, how: dict) -> list[dict]:
    """Return the areas of the backbone's effective receptive field, with random weights and with the trained ones."""
    cfg = read_config(str(folder / CONFIG))
    paths = find_images(how['images'], how['count'])
    trained = (folder / 'work/last_checkpoint').read_text()
    found = []

    for checkpoint in (None, trained):
        backbone = load_model(cfg, checkpoint).backbone
        contribution = compute_erf(backbone, model_images(cfg, paths, how['size']))
        found += [
            {'threshold': area.threshold, 'side': area.side, 'ratio': area.ratio, 'trained': checkpoint is not None}
            for area in area_ratios(contribution)
        ]

    return found
