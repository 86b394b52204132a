"""Checks before anything is built: the files of the data and the checkpoint that a run is going to need."""

import os
from pathlib import Path

from mmengine.config import Config
from torch import Tensor

from ..checkpoints.file import CheckpointError, read
from ..checkpoints.keys import unwrap
from ..config import as_list, leaf_datasets
from ..errors import UserError

WHERE_TO_READ = 'see section Data of docs/guides/training.md'


def check_files(cfg: Config, phase: str) -> None:
    """Look for every file and folder that the data sets of ``phase`` ('train', 'val', 'test') name.

    Raises:
        UserError: one of them is not there, or is an empty folder.
    """
    loader = cfg.get(f'{phase}_dataloader') or {}

    for dataset in leaf_datasets(loader.get('dataset')):
        expected = _expected_paths(dataset)
        for path in expected:
            if path.is_file() or (path.is_dir() and any(path.iterdir())):
                continue

            state = 'is empty' if path.is_dir() else 'does not exist'
            raise UserError(
                f'no data for {phase}_dataloader: {path} {state}, but {dataset["type"]} expects '
                f'{_layout(dataset, expected)} ({WHERE_TO_READ})'
            )

    for metric in as_list(cfg.get(f'{phase}_evaluator')):
        path = metric.get('ann_file')
        if path and _is_local(path) and not Path(path).is_file():
            raise UserError(
                f'no annotations for {phase}_evaluator: {path} does not exist, but {metric["type"]} reads it '
                f'({WHERE_TO_READ})'
            )


def check_checkpoint(path: str | Path, option: str) -> dict[str, Tensor]:
    """Return the weights in the checkpoint at ``path``, under the names that they have there; remote ones are not read.

    Args:
        path: a file, or an address that MMEngine reads from.
        option: the option or the key of the config that names it, for the message.

    Raises:
        UserError: there is no such file, it holds no weights, or more than tensors and plain values.
    """
    if not _is_local(path):
        return {}

    try:
        # Mapped into memory, so that only the names are read.
        checkpoint = read(path, mmap=True)
    except CheckpointError as error:
        raise UserError(f'{option}: {error}') from None

    weights = {name: value for name, value in unwrap(checkpoint).items() if isinstance(value, Tensor)}
    if not weights:
        raise UserError(f'{option}: {path} is not a checkpoint: it holds no weights')

    return weights


def _expected_paths(dataset: dict) -> list[Path]:
    root = dataset.get('data_root') or ''
    parts = [dataset.get('ann_file'), *(dataset.get('data_prefix') or {}).values()]
    paths = [os.path.join(root, part) for part in parts if isinstance(part, str) and part]

    return [Path(path) for path in paths or [root] if path and _is_local(path)]


def _layout(dataset: dict, paths: list[Path]) -> str:
    root = Path(dataset.get('data_root') or '')
    inside = [str(path.relative_to(root)) if path.is_relative_to(root) else str(path) for path in paths]

    return f'{", ".join(inside)} in {root}'


def _is_local(path: str | Path) -> bool:
    return '://' not in str(path)
