"""From the description of a study, a YAML file, to its cells: one ordinary config each, in one folder.

A description has::

    title: ...
    seeds: [0, 1, 2]                # of weights and order of images; the cells of the first are trained first
    families:                       # backbones; arguments that all kernels share
      pico: {type: lkdense.SLaK, arch: pico, width_factor: 1.0, small_kernel: 5, decompose: false}
    kernels:                        # label: the arguments that make the difference, kernel_sizes among them
      '7': {kernel_sizes: [7, 7, 7, 7]}
      51 strips: {kernel_sizes: [51, 51, 51, 51], decompose: true}
    tasks:
      camvid:
        kind: segmentation          # or detection, classification
        config: studies/upernet_pico_camvid     # a name or a path
        options: {}                 # of all its cells, as of --cfg-options; {data} stands for DIR/data
        sizes: {128: {}}            # axes of this task: label, and options that go with it
        heads: {upernet: {}}
        distances: [12, 24]         # stands for {distance} in the options
        kernels: ['7']              # a part of the kernels only
        chance: 50.0                # the metric of a guess
        erf: {images: DIR, count: 4, size: [256, 256]}      # measured with random and with trained weights
    upstream: crops                 # the classification that the others are set beside
    data:                           # sets that are made, at DIR/data/NAME
      crops:                        # classification from a segmentation set, with the arguments of write_crops
        make: crops
        images: data/camvid/images              # a folder of images for each part
        labels: data/camvid/annotations         # the same of label maps; value k is class k
        classes: [sky, building]
        parts: [train, val]                     # these, and the following, are the defaults
        size: 64                                # of a crop, in pixels
        per_class: 300                          # crops for training at the most; a quarter of it for validation
        seed: 0
      reach_12:                     # the long-range probe, with the arguments of write_reach
        make: reach
        distance: 12                            # in pixels
        train: 400                              # images; these, and the following, are the defaults
        val: 100
        size: 128
        seed: 0
    recipe:                         # in words, for the report: how each task is trained
      camvid: 160 iterations of 8 crops
    confounds: [...]                # what else could explain a difference

``title``, ``seeds``, ``families``, ``kernels`` and ``tasks`` are needed, and of a task ``kind`` and ``config``.
"""

import json
import traceback
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch
import yaml
from mmengine.config import Config

from ..config import FOLDER, read_config
from ..data.synthetic.crops import write_crops
from ..data.synthetic.reach_probe import write_reach
from ..errors import UserError
from ..models import build_model

STUDIES = FOLDER / 'studies'
KINDS = ('classification', 'segmentation', 'detection')
KEYS = {'title', 'seeds', 'families', 'kernels', 'tasks'}
OPTIONAL_KEYS = {'upstream', 'data', 'confounds', 'recipe'}
TASK_KEYS = {'kind', 'config', 'options', 'sizes', 'heads', 'distances', 'kernels', 'chance', 'erf'}
MAKERS = {'reach': write_reach, 'crops': write_crops}
STUDY, CONFIG, CELL = 'study.json', 'config.py', 'cell.json'


@dataclass(frozen=True)
class Cell:
    """One training of a study: what sets it apart from the others, and the config and options that it is made from."""

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
    """Read the description of a study, given by a path or the name of one of lkdense's own.

    Raises:
        UserError: it is not there, is no YAML, or lacks a part, or has one that is not known.
    """
    path = Path(path)
    if not path.is_file():
        own = STUDIES / f'{path.name.removesuffix(".yml")}.yml'
        if path.parent.name or not own.is_file():
            known = ', '.join(sorted(study.stem for study in STUDIES.glob('*.yml')))
            raise UserError(f'there is no study {path}; those of lkdense are {known}')
        path = own

    try:
        study = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise UserError(f'{path} is not YAML: {error}') from None

    if not isinstance(study, dict):
        raise UserError(f'{path} must hold {", ".join(sorted(KEYS))}, got {type(study).__name__}')

    _check_keys(path, study, KEYS, OPTIONAL_KEYS)
    for name, task in study['tasks'].items():
        _check_keys(f'{path}: task {name}', task, {'kind', 'config'}, TASK_KEYS)
        if task['kind'] not in KINDS:
            raise UserError(f'{path}: task {name}: kind must be one of {", ".join(KINDS)}, got {task["kind"]!r}')
        if unknown := set(map(str, task.get('kernels', ()))) - set(map(str, study['kernels'])):
            raise UserError(f'{path}: task {name}: no kernel is called {", ".join(sorted(unknown))}')

    for name, arguments in study['kernels'].items():
        if 'kernel_sizes' not in arguments:
            raise UserError(f'{path}: kernel {name} lacks kernel_sizes, by which the report puts kernels in order')

    if study.get('upstream', next(iter(study['tasks']))) not in study['tasks']:
        raise UserError(f'{path}: upstream must be one of {", ".join(study["tasks"])}, got {study["upstream"]!r}')

    return study


def expand(study: Mapping) -> Iterator[Cell]:
    """Give the cells of a study, those of the first seed first, so that a study cut short has whole curves."""
    for seed, (task, details), family, kernel in product(
        study['seeds'], study['tasks'].items(), study['families'], study['kernels']
    ):
        if str(kernel) not in map(str, details.get('kernels', study['kernels'])):
            continue

        for size, head, distance in product(
            details.get('sizes', {None: {}}), details.get('heads', {None: {}}), details.get('distances', [None])
        ):
            labels = [task, family, f'k{kernel}', head, size, None if distance is None else f'd{distance}', f's{seed}']
            options = {
                **details.get('options', {}),
                **(details['sizes'][size] if size is not None else {}),
                **(details['heads'][head] if head is not None else {}),
            }
            yield Cell(
                name='-'.join(str(label).replace(' ', '_') for label in labels if label is not None),
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
                backbone={**study['families'][family], **study['kernels'][kernel]},
                config=details['config'],
                options=options,
            )


def write_plan(study: Mapping, folder: Path) -> list[Cell]:
    """Make the data of a study and write the config of each of its cells to ``folder/cells/NAME/config.py``.

    Raises:
        UserError: a config is not there, a model cannot be built, or a cell of that name has another config already.
    """
    cells = list(expand(study))
    read = {cell.name: cell_config(cell, folder) for cell in cells}
    _check_models(read)

    for name, made in study.get('data', {}).items():
        _make(folder / 'data' / name, dict(made))

    # pretty_text is a property that formats the config anew, a second for a large one
    configs = {name: cfg.pretty_text for name, cfg in read.items()}
    for name, text in configs.items():
        path = folder / 'cells' / name / CONFIG
        if path.is_file() and path.read_text() != text:
            raise UserError(
                f'{path} is of another plan: give the changed study another folder, or delete {path.parent}'
            )

    for cell in cells:
        place = folder / 'cells' / cell.name
        place.mkdir(parents=True, exist_ok=True)
        (place / CONFIG).write_text(configs[cell.name])
        (place / CELL).write_text(json.dumps(asdict(cell), indent=1) + '\n')

    (folder / STUDY).write_text(json.dumps(study, indent=1) + '\n')
    return cells


def cell_config(cell: Cell, folder: Path) -> Config:
    """Return the whole config of a cell, which stands by itself."""
    cfg = read_config(cell.config)
    fill = dict(distance=cell.distance, data=(folder / 'data').as_posix())
    cfg.merge_from_dict({key: _filled(value, fill) for key, value in cell.options.items()})
    cfg.model.backbone = dict(cell.backbone, **{k: v for k, v in cfg.model.backbone.items() if k == 'out_indices'})
    if cell.kind == 'classification':
        cfg.model.backbone['norm_outputs'] = False
    cfg.randomness = dict(seed=cell.seed)
    cfg.work_dir = (folder / 'cells' / cell.name / 'work').as_posix()
    return cfg


def _check_models(configs: Mapping[str, Config]) -> None:
    """Build each of the cells' models once: better now than in every training."""
    seen = set()
    for name, cfg in configs.items():
        model = json.dumps(cfg.model.to_dict(), sort_keys=True, default=str)
        if model not in seen and (error := _build_error(cfg)):
            # a bare assertion has no words but its own line
            reason = str(error) or traceback.extract_tb(error.__traceback__)[-1].line
            raise UserError(f'{name}: its model cannot be built: {reason}')
        seen.add(model)


def _build_error(cfg: Config) -> Exception | None:
    # some models of the hosts read a number while they are built, and nothing on the meta device has one
    for device in ('meta', 'cpu'):
        try:
            with torch.device(device), warnings.catch_warnings():
                warnings.simplefilter('ignore')
                build_model(cfg)
            return None
        except Exception as error:
            found = error
    return found


def _filled(value: Any, fill: Mapping[str, Any]) -> Any:
    """Put ``{distance}`` and ``{data}`` into every text of an option."""
    if isinstance(value, str):
        try:
            return value.format(**fill)
        except (KeyError, IndexError, ValueError):
            known = ', '.join(f'{{{name}}}' for name in fill)
            raise UserError(f'braces in an option stand for {known}, got {value!r}') from None

    if isinstance(value, list):
        return [_filled(part, fill) for part in value]
    if isinstance(value, dict):
        return {key: _filled(part, fill) for key, part in value.items()}

    return value


def _make(folder: Path, arguments: dict) -> None:
    kind = arguments.pop('make', None)
    if kind not in MAKERS:
        raise UserError(f'data {folder.name}: make must be one of {", ".join(MAKERS)}, got {kind!r}')
    try:
        MAKERS[kind](folder, **arguments)
    except (ValueError, TypeError, OSError) as error:
        raise UserError(f'data {folder.name}: {error}') from None


def _check_keys(where: object, found: Mapping, needed: set[str], allowed: set[str]) -> None:
    if missing := needed - set(found):
        raise UserError(f'{where} lacks {", ".join(sorted(missing))}')
    if unknown := set(found) - needed - allowed:
        known = ', '.join(sorted(needed | allowed))
        raise UserError(f'{where}: unknown {", ".join(sorted(unknown))}; known are {known}')
