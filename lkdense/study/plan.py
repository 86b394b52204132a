"""From the description of a study, a YAML file, to its cells: an ordinary config for each, all in one folder.

A description has::

    title: ...
    seeds: [0, 1, 2]                # for weights and order of images; the cells of the first are trained first
    families:                       # label: backbone with the arguments that all kernels share
      pico: {type: lkdense.SLaK, arch: pico, width_factor: 1.0, small_kernel: 5, decompose: false}
    kernels:                        # label: the arguments that differ, always with kernel_sizes
      '7': {kernel_sizes: [7, 7, 7, 7]}
      51 strips: {kernel_sizes: [51, 51, 51, 51], decompose: true}
    tasks:
      camvid:
        kind: segmentation          # or detection, classification
        config: studies/upernet_pico_camvid     # a name or a path
        options: {}                 # for all its cells, as for --cfg-options; {data} stands for DIR/data
        sizes: {128: {}}            # axes of this task: label and the options for it
        heads: {upernet: {}}
        distances: [12, 24]         # the values of {distance} in the options
        kernels: ['7']              # only these of the kernels
        chance: 50.0                # the metric that guessing gives, in percent
        erf: {images: DIR, count: 4, size: [256, 256]}      # measured with random and with trained weights
    upstream: crops                 # the classification that the other tasks are compared with
    data:                           # data sets to create, at DIR/data/NAME
      crops:                        # classification data from a segmentation set, with the arguments of write_crops
        make: crops
        images: data/camvid/images              # a folder of images for each part
        labels: data/camvid/annotations         # the same of label maps; value k is class k
        classes: [sky, building]
        parts: [train, val]                     # this and the following are the defaults
        size: 64                                # side of a crop in pixels
        per_class: 300                          # crops for training at most; a quarter of that for validation
        seed: 0
      reach_12:                     # the long-range probe, with the arguments of write_reach
        make: reach
        distance: 12                            # pixels
        train: 400                              # images; this and the following are the defaults
        val: 100
        size: 128
        seed: 0
    recipe:                         # in words, for the report: how each task is trained
      camvid: 160 iterations of 8 crops
    confounds: [...]                # what else could explain a difference

``title``, ``seeds``, ``families``, ``kernels`` and ``tasks`` are required, and for each task ``kind`` and ``config``.
"""

import json
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from mmengine.config import Config

from ..config import FOLDER, read_config
from ..data.synthetic.crops import write_crops
from ..data.synthetic.reach_probe import write_reach
from ..errors import UserError
from ..models import build_model, on_meta_or_cpu

STUDIES = FOLDER / 'studies'
KINDS = ('classification', 'segmentation', 'detection')
REQUIRED_KEYS = {'title', 'seeds', 'families', 'kernels', 'tasks'}
OPTIONAL_KEYS = {'upstream', 'data', 'confounds', 'recipe'}
TASK_KEYS = {'kind', 'config', 'options', 'sizes', 'heads', 'distances', 'kernels', 'chance', 'erf'}
WRITERS = {'reach': write_reach, 'crops': write_crops}
STUDY, CONFIG, CELL = 'study.json', 'config.py', 'cell.json'


@dataclass(frozen=True)
class Cell:
    """One training of a study: what distinguishes it from the others, and the config and options it is built from.

    >>> cell = next(expand(read_study('reach_small')))
    >>> cell.name, cell.kernel, cell.distance
    ('reach-one_block-k7-d12-s0', '7', 12)
    """

    name: str
    family: str
    kernel: str
    task: str
    kind: str
    size: str | None
    head: str | None
    distance: int | None
    seed: int
    chance: float | None
    erf: dict[str, Any] | None
    backbone: dict[str, Any]
    config: str
    options: dict[str, Any]


def read_study(path: str | Path) -> dict:
    """Read the description of a study.

    >>> read_study('reach_small')['seeds']
    [0, 1]

    Args:
        path: a YAML file, or the name of a study of lkdense's own.

    Raises:
        UserError: the file does not exist, is not YAML, lacks a part, or has an unknown one.
    """
    path = _find_study(Path(path))
    try:
        study = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise UserError(f'{path} is not YAML: {error}') from None

    if not isinstance(study, dict):
        raise UserError(f'{path} must hold {", ".join(sorted(REQUIRED_KEYS))}, got {type(study).__name__}')
    _check_study(path, study)
    return study


def expand(study: Mapping) -> Iterator[Cell]:
    """Yield the cells of a study, those of the first seed first, so that a study cut short has whole curves.

    >>> study = read_study('reach_small')
    >>> sum(1 for cell in expand(study))
    18
    """
    for seed, (task, details), family, kernel in product(
        study['seeds'], study['tasks'].items(), study['families'], study['kernels']
    ):
        if str(kernel) not in map(str, details.get('kernels', study['kernels'])):
            continue

        backbone = {**study['families'][family], **study['kernels'][kernel]}
        sizes = details.get('sizes', {None: {}})
        heads = details.get('heads', {None: {}})
        for size, head, distance in product(sizes, heads, details.get('distances', [None])):
            labels = [task, family, f'k{kernel}', head, size, None if distance is None else f'd{distance}', f's{seed}']

            yield Cell(
                name=_join_labels(labels),
                family=family,
                kernel=str(kernel),
                task=task,
                kind=details['kind'],
                size=None if size is None else str(size),
                head=head,
                distance=distance,
                seed=seed,
                chance=details.get('chance'),
                erf=details.get('erf'),
                backbone=backbone,
                config=details['config'],
                options={**details.get('options', {}), **sizes[size], **heads[head]},
            )


def write_plan(study: Mapping, folder: Path) -> list[Cell]:
    """Create the data of a study and write the config of each of its cells to ``folder/cells/NAME/config.py``.

    On the command line: ``lkdense study plan STUDY --out DIR``.

    Args:
        study: its description, as from :func:`read_study`.
        folder: everything that the study writes goes there.

    Raises:
        UserError: a config does not exist, a model cannot be built, or a cell of that name already has another config.
    """
    cells = list(expand(study))
    configs = {cell.name: build_cell_config(cell, folder) for cell in cells}
    _check_models(configs)
    for name, arguments in study.get('data', {}).items():
        _create_data(folder / 'data' / name, dict(arguments))

    # Each access to `pretty_text` formats the config anew, which takes a second for a large one.
    texts = {name: cfg.pretty_text for name, cfg in configs.items()}
    for name, text in texts.items():
        path = folder / 'cells' / name / CONFIG
        if path.is_file() and path.read_text() != text:
            raise UserError(
                f'{path} is of another plan: give the changed study another folder, or delete {path.parent}'
            )

    for cell in cells:
        cell_folder = folder / 'cells' / cell.name
        cell_folder.mkdir(parents=True, exist_ok=True)
        (cell_folder / CONFIG).write_text(texts[cell.name])
        (cell_folder / CELL).write_text(json.dumps(asdict(cell), indent=1) + '\n')

    (folder / STUDY).write_text(json.dumps(study, indent=1) + '\n')
    return cells


def build_cell_config(cell: Cell, folder: Path) -> Config:
    """Return the complete config of a cell, which needs no other file."""
    cfg = read_config(cell.config)
    values = dict(distance=cell.distance, data=(folder / 'data').as_posix())
    cfg.merge_from_dict({key: _fill_in(option, values) for key, option in cell.options.items()})

    backbone = dict(cell.backbone)
    if 'out_indices' in cfg.model.backbone:
        backbone['out_indices'] = cfg.model.backbone.out_indices
    if cell.kind == 'classification':
        backbone['norm_outputs'] = False

    cfg.model.backbone = backbone
    cfg.randomness = dict(seed=cell.seed)
    cfg.work_dir = (folder / 'cells' / cell.name / 'work').as_posix()
    return cfg


def _join_labels(labels: Sequence[object]) -> str:
    """Return the name of a cell: its labels, without those that are None and without spaces."""
    words = [str(label) for label in labels if label is not None]
    return '-'.join(words).replace(' ', '_')


def _find_study(path: Path) -> Path:
    """Return ``path`` if it is a file, or the study of lkdense with that name."""
    if path.is_file():
        return path

    own = STUDIES / f'{path.name.removesuffix(".yml")}.yml'
    if path.parent.name or not own.is_file():
        names = ', '.join(sorted(study.stem for study in STUDIES.glob('*.yml')))
        raise UserError(f'there is no study {path}; those of lkdense are {names}')
    return own


def _check_study(path: Path, study: dict) -> None:
    _check_keys(path, study, REQUIRED_KEYS, OPTIONAL_KEYS)

    kernels = set(map(str, study['kernels']))
    for name, task in study['tasks'].items():
        _check_keys(f'{path}: task {name}', task, {'kind', 'config'}, TASK_KEYS)
        if task['kind'] not in KINDS:
            raise UserError(f'{path}: task {name}: kind must be one of {", ".join(KINDS)}, got {task["kind"]!r}')
        unknown = set(map(str, task.get('kernels', ()))) - kernels
        if unknown:
            raise UserError(f'{path}: task {name}: no kernel is called {", ".join(sorted(unknown))}')

    for name, arguments in study['kernels'].items():
        if 'kernel_sizes' not in arguments:
            raise UserError(f'{path}: kernel {name} lacks kernel_sizes, by which the report puts kernels in order')

    if 'upstream' in study and study['upstream'] not in study['tasks']:
        raise UserError(f'{path}: upstream must be one of {", ".join(study["tasks"])}, got {study["upstream"]!r}')


def _check_keys(where: object, entries: Mapping, required: set[str], optional: set[str]) -> None:
    missing = required - set(entries)
    if missing:
        raise UserError(f'{where} lacks {", ".join(sorted(missing))}')

    unknown = set(entries) - required - optional
    if unknown:
        known = ', '.join(sorted(required | optional))
        raise UserError(f'{where}: unknown {", ".join(sorted(unknown))}; known are {known}')


def _check_models(configs: Mapping[str, Config]) -> None:
    """Build each different model of the cells once, so that an error is known before the first training."""
    checked = set()
    for name, cfg in configs.items():
        model = json.dumps(cfg.model.to_dict(), sort_keys=True, default=str)
        if model in checked:
            continue

        try:
            _try_to_build(cfg)
        except Exception as error:
            # A bare assertion has no message, so the error shows its line of code.
            reason = str(error) or traceback.extract_tb(error.__traceback__)[-1].line
            raise UserError(f'{name}: its model cannot be built: {reason}') from None
        checked.add(model)


def _try_to_build(cfg: Config) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        on_meta_or_cpu(lambda: build_model(cfg))


def _fill_in(option: Any, values: Mapping[str, Any]) -> Any:
    """Return an option with values for ``{distance}`` and ``{data}`` in each of its texts."""
    if isinstance(option, str):
        try:
            return option.format(**values)
        except (KeyError, IndexError, ValueError):
            known = ', '.join(f'{{{name}}}' for name in values)
            raise UserError(f'braces in an option stand for {known}, got {option!r}') from None

    if isinstance(option, list):
        return [_fill_in(part, values) for part in option]
    if isinstance(option, dict):
        return {key: _fill_in(part, values) for key, part in option.items()}
    return option


def _create_data(folder: Path, arguments: dict) -> None:
    kind = arguments.pop('make', None)
    if kind not in WRITERS:
        raise UserError(f'data {folder.name}: make must be one of {", ".join(WRITERS)}, got {kind!r}')

    try:
        WRITERS[kind](folder, **arguments)
    except (ValueError, TypeError, OSError) as error:
        raise UserError(f'data {folder.name}: {error}') from None
