"""What the tools share: their options, the config, and checks before anything is built."""

import argparse
import importlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from mmengine.device import get_device
from torch import Tensor

from .checkpoints.file import TRUST_OPTION, CheckpointError, read, trust_checkpoints
from .checkpoints.keys import unwrap
from .config import config_path

# what the onedl packages print for each data set of a service that nobody asked for
ONEDL_NOTICE = 'Could not import OneDL'
WHERE_TO_READ = 'see section Data of docs/training.md'


class LaunchError(Exception):
    """What keeps a tool from starting, in one sentence for its user."""


def run(main: Callable[[], None], name: str) -> None:
    """Call ``main``; an error that is the user's to mend ends the process with exit code 1 and that one sentence.

    Args:
        name: of the command, with which the sentence begins.
    """
    try:
        main()
    except (LaunchError, CheckpointError) as error:
        raise SystemExit(f'{name}: {error}') from None
    finally:
        # a process that ends with the threads of gloo still running may abort
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """The config, what may be changed in it, and whether to trust checkpoints: the same for all tools."""
    parser.add_argument('config', metavar='CONFIG', help="a path, or the name of one of lkdense's own")
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        metavar='KEY=VALUE',
        help='override anything in the config: train_cfg.max_iters=100 model.backbone.drop_path_rate=0.1 key="[1,2]"',
    )
    add_trust_option(parser)


def add_trust_option(parser: argparse.ArgumentParser) -> None:
    """Whether checkpoints may hold more than tensors and plain values."""
    parser.add_argument(
        TRUST_OPTION, action='store_true', help='unpickle any object that a checkpoint holds, which can run any code'
    )


def add_runner_options(parser: argparse.ArgumentParser) -> None:
    """The options that training and testing have in common."""
    add_config_options(parser)
    parser.add_argument(
        '--work-dir', metavar='DIR', help="logs and checkpoints (default: work_dirs/ and CONFIG's name)"
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='what started the processes (pytorch: torchrun); none: there is only this one (default: none)',
    )


def load_config(args: argparse.Namespace) -> Config:
    """Read the config, apply the options of :func:`add_config_options`, and register what its scope brings."""
    if args.trust_checkpoint:
        trust_checkpoints()
    return read_config(args.config, args.cfg_options)


def load_runner_config(args: argparse.Namespace) -> Config:
    """Read the config and apply the options of :func:`add_runner_options`."""
    if args.launcher == 'pytorch' and 'RANK' not in os.environ:
        raise LaunchError('--launcher pytorch is for processes that torchrun has started; see tools/dist_train.sh')
    cfg = load_config(args)
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or str(Path('work_dirs', Path(args.config).stem))
    return cfg


def find_config(name: str) -> Path:
    """Return the path of a config, given by that path or the name of one of lkdense's own.

    Raises:
        LaunchError: there is no such config.
    """
    path = Path(name)
    if path.is_file():
        return path
    if path.suffix:
        raise LaunchError(f'there is no config {name}')
    try:
        return Path(config_path(name))
    except ValueError as error:
        raise LaunchError(str(error)) from None


def read_config(name: str, options: dict | None = None) -> Config:
    """Read a config, given by a path or the name of one of lkdense's own, and register what its scope brings.

    Raises:
        LaunchError: there is no such config, or none of those that it inherits from.
    """
    path = find_config(name)
    with onedl_notice_dropped():
        try:
            cfg = Config.fromfile(path)
        except FileNotFoundError as error:
            raise LaunchError(f'{path} inherits from a config that is not there: {error}') from None
        cfg.merge_from_dict(options or {})
        if (scope := cfg.get('default_scope')) in ('mmseg', 'mmdet'):
            register_all_of(scope)
    return cfg


def register_all_of(package: str) -> None:
    """Import all of mmseg or mmdet."""
    try:
        importlib.import_module(f'{package}.utils').register_all_modules(init_default_scope=False)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise LaunchError(
            f"the config is one for {package}, which is not installed: pip install 'lkdense[mm]'"
        ) from None


def first_line(error: Exception) -> str:
    """Return an error's kind and what it says, without its report on the state of everything."""
    return f'{type(error).__name__}: {(str(error).strip() or "no text").splitlines()[0]}'[:300]


@contextmanager
def onedl_notice_dropped() -> Iterator[None]:
    """Hold back what is printed, then print it without the notices of the onedl packages."""
    held = io.StringIO()
    try:
        with redirect_stdout(held):
            yield
    finally:
        sys.stdout.writelines(line for line in held.getvalue().splitlines(True) if not line.startswith(ONEDL_NOTICE))


def check_data(cfg: Config, phase: str) -> None:
    """Look for every file and folder that the data sets of ``phase`` ('train', 'val', 'test') name.

    Raises:
        LaunchError: one of them is not there, or is an empty folder.
    """
    loader = cfg.get(f'{phase}_dataloader') or {}
    for dataset in leaves(loader.get('dataset')):
        expected = _expected_paths(dataset)
        for path in expected:
            if path.is_file() or (path.is_dir() and any(path.iterdir())):
                continue
            state = 'is empty' if path.is_dir() else 'does not exist'
            raise LaunchError(
                f'no data for {phase}_dataloader: {path} {state}, but {dataset["type"]} expects '
                f'{_layout(dataset, expected)} ({WHERE_TO_READ})'
            )
    for metric in as_list(cfg.get(f'{phase}_evaluator')):
        path = metric.get('ann_file')
        if path and _is_local(path) and not Path(path).is_file():
            raise LaunchError(
                f'no annotations for {phase}_evaluator: {path} does not exist, but {metric["type"]} reads it '
                f'({WHERE_TO_READ})'
            )


def check_checkpoint(path: str | Path, option: str) -> dict[str, Tensor]:
    """Return the weights in the checkpoint at ``path``, under the names that they have there; remote ones are not read.

    Raises:
        LaunchError: there is no such file, it holds no weights, or more than tensors and plain values.
    """
    if not _is_local(path):
        return {}
    try:
        # mapped into memory, only the names are read
        checkpoint = read(path, mmap=True)
    except CheckpointError as error:
        raise LaunchError(f'{option}: {error}') from None
    weights = {name: value for name, value in unwrap(checkpoint).items() if isinstance(value, Tensor)}
    if not weights:
        raise LaunchError(f'{option}: {path} is not a checkpoint: it holds no weights')
    return weights


def pretrained_paths(model_cfg: dict) -> list[str]:
    """Return every checkpoint that an ``init_cfg`` inside ``model_cfg`` names."""
    paths = [cfg.get('checkpoint') for cfg in _dicts(model_cfg) if cfg.get('type') == 'Pretrained']
    return [path for path in paths if isinstance(path, str)]


def drop_pretrained(model_cfg: dict) -> None:
    """Take out of ``model_cfg``, in place, every ``init_cfg`` that names a checkpoint."""
    for part in _dicts(model_cfg):
        if any(init.get('type') == 'Pretrained' for init in as_list(part.get('init_cfg'))):
            part['init_cfg'] = None


def as_list(cfg) -> list:
    """Return what a config gives one or several of, such as metrics, as a list."""
    return list(cfg) if isinstance(cfg, list | tuple) else [cfg] if cfg else []


def has_accelerator() -> bool:
    """Whether there is anything faster than a CPU, as MMEngine sees it."""
    return get_device() != 'cpu'


def leaves(dataset: dict | None) -> Iterator[dict]:
    """Yield the configs of the sets that read files, from inside of those that repeat, join or mix others."""
    # they keep them under these two names, in mmengine, mmseg and mmdet alike
    if not isinstance(dataset, dict):
        return
    inner = [dataset.get('dataset'), *as_list(dataset.get('datasets'))]
    if not any(inner):
        yield dataset
    for part in inner:
        yield from leaves(part)


def type_of(part: dict) -> str:
    """Return the type of a part of a config without the scope or module before it: IoUMetric of mmseg.IoUMetric."""
    return part['type'].rpartition('.')[2]


def _expected_paths(dataset: dict) -> list[Path]:
    root, parts = (
        dataset.get('data_root') or '',
        [dataset.get('ann_file'), *(dataset.get('data_prefix') or {}).values()],
    )
    paths = [os.path.join(root, part) for part in parts if isinstance(part, str) and part]
    return [Path(path) for path in paths or [root] if path and _is_local(path)]


def _layout(dataset: dict, paths: list[Path]) -> str:
    root = Path(dataset.get('data_root') or '')
    inside = [str(path.relative_to(root)) if path.is_relative_to(root) else str(path) for path in paths]
    return f'{", ".join(inside)} in {root}'


def _is_local(path: str | Path) -> bool:
    return '://' not in str(path)


def _dicts(cfg) -> Iterator[dict]:
    if isinstance(cfg, dict):
        yield cfg
        cfg = list(cfg.values())
    if isinstance(cfg, list | tuple):
        for part in cfg:
            yield from _dicts(part)
