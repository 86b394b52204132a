"""A config: found by its name or path, read, and its parts walked.

The configs of lkdense lie in ``configs/`` of a clone and inside the installed package. They have names, such as
``upernet_slak_b_ade20k``, because MMEngine's ``package::path`` inheritance knows OpenMMLab's own packages only.
"""

import importlib
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from mmengine.config import Config

from .errors import UserError

PACKAGE = Path(__file__).resolve().parent
FOLDER = next(
    (path for path in (PACKAGE / 'configs', PACKAGE.parent / 'configs') if path.is_dir()), PACKAGE / 'configs'
)
# The onedl packages print this for each data set of a service that nobody asked for.
ONEDL_NOTICE = 'Could not import OneDL'


def config_names() -> list[str]:
    """Return the names of all configs of lkdense, as :func:`config_path` takes them."""
    names = [path.relative_to(FOLDER).with_suffix('').as_posix() for path in sorted(FOLDER.rglob('*.py'))]

    return [name for name in names if not name.startswith('_')]


def config_path(name: str) -> str:
    """Return the path of a config of lkdense, to be written into a ``_base_``.

    >>> config_path('upernet_slak_b_ade20k').endswith('configs/upernet_slak_b_ade20k.py')
    True

    Raises:
        ValueError: there is none of that name; the message names the nearest.
    """
    path = FOLDER / f'{name.removesuffix(".py")}.py'
    if path.is_file():
        return str(path)

    names = config_names()
    nearest = get_close_matches(name, names, n=3, cutoff=0.5) or names[:3]
    raise ValueError(
        f'there is no config {name} among the {len(names)} of lkdense; the nearest are {", ".join(nearest)}'
    )


def get_config(name: str) -> Config:
    """Return a config of lkdense, read; ``name`` is as for :func:`config_path`.

    >>> get_config('upernet_slak_b_ade20k').model.backbone.arch
    'base'

    Raises:
        ValueError: there is none of that name.
    """
    return Config.fromfile(config_path(name))


def find_config(name: str) -> Path:
    """Return the path of a config, given by that path or the name of one of lkdense's own.

    Raises:
        UserError: there is no such config.
    """
    path = Path(name)
    if path.is_file():
        return path
    if path.suffix:
        raise UserError(f'there is no config {name}')

    try:
        return Path(config_path(name))
    except ValueError as error:
        raise UserError(str(error)) from None


def read_config(name: str, options: dict | None = None) -> Config:
    """Read a config, given by a path or the name of one of lkdense's own, and register what its scope brings.

    Args:
        name: a path or a name, as :func:`find_config` takes it.
        options: entries that replace those of the file, by their dotted keys.

    Raises:
        UserError: there is no such config, or none of those that it inherits from.
    """
    path = find_config(name)

    with without_onedl_notice():
        try:
            cfg = Config.fromfile(path)
        except FileNotFoundError as error:
            raise UserError(f'{path} inherits from a config that is not there: {error}') from None

        cfg.merge_from_dict(options or {})
        scope = cfg.get('default_scope')
        if scope in ('mmseg', 'mmdet'):
            register_all_of(scope)

    return cfg


def register_all_of(package: str) -> None:
    """Import all of mmseg or mmdet, which puts their classes into the registries.

    Raises:
        UserError: the package is not installed.
    """
    try:
        importlib.import_module(f'{package}.utils').register_all_modules(init_default_scope=False)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise UserError(f"the config is one for {package}, which is not installed: pip install 'lkdense[mm]'") from None


@contextmanager
def without_onedl_notice() -> Iterator[None]:
    """Hold back what is printed inside, then print it without the notices of the onedl packages."""
    held = io.StringIO()

    try:
        with redirect_stdout(held):
            yield
    finally:
        lines = held.getvalue().splitlines(keepends=True)
        sys.stdout.writelines(line for line in lines if not line.startswith(ONEDL_NOTICE))


def as_list(value: Any) -> list:
    """Return a value that a config gives once or several times, such as a metric, as a list.

    >>> as_list(dict(type='IoUMetric')), as_list(None)
    ([{'type': 'IoUMetric'}], [])
    """
    if isinstance(value, list | tuple):
        return list(value)

    return [value] if value else []


def type_of(part: dict) -> str:
    """Return the type of a part of a config without the scope or module before it.

    >>> type_of(dict(type='mmseg.IoUMetric'))
    'IoUMetric'
    """
    return part['type'].rpartition('.')[2]


def dicts_in(cfg: Any) -> Iterator[dict]:
    """Yield every dict inside a part of a config, the outer ones first."""
    if isinstance(cfg, dict):
        yield cfg
        cfg = list(cfg.values())

    if isinstance(cfg, list | tuple):
        for part in cfg:
            yield from dicts_in(part)


def leaf_datasets(dataset: dict | None) -> Iterator[dict]:
    """Yield the configs of the data sets that read files, from inside of those that repeat, join or mix others."""
    if not isinstance(dataset, dict):
        return

    # Wrappers keep the wrapped data sets under these two names, in mmengine, mmseg and mmdet alike.
    wrapped = [dataset.get('dataset'), *as_list(dataset.get('datasets'))]
    if not any(wrapped):
        yield dataset

    for part in wrapped:
        yield from leaf_datasets(part)


def pretrained_paths(model_cfg: dict) -> list[str]:
    """Return every checkpoint that an ``init_cfg`` inside ``model_cfg`` names."""
    paths = [part.get('checkpoint') for part in dicts_in(model_cfg) if part.get('type') == 'Pretrained']

    return [path for path in paths if isinstance(path, str)]


def drop_pretrained(model_cfg: dict) -> None:
    """Take out of ``model_cfg``, in place, every ``init_cfg`` that names a checkpoint."""
    for part in dicts_in(model_cfg):
        if any(init.get('type') == 'Pretrained' for init in as_list(part.get('init_cfg'))):
            part['init_cfg'] = None
