"""Checkpoints as MMEngine reads them: safetensors files wherever it takes a path, and what it keeps beside the weights.

Importing this module registers both.
"""

from pickle import UnpicklingError

from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor

from .file import SAFETENSORS, allow, read


def load_from_safetensors(filename: str, map_location: object = None) -> dict[str, Tensor]:
    """Return the tensors of a file, on the CPU: a model's parameters stay where they are as they take the values."""
    return read(filename)


def statistic(owner: type, name: str) -> object:
    """Stand in for ``getattr`` in a checkpoint, which needs it for the functions of ``HistoryBuffer`` alone.

    A training keeps its logged values and the functions that sum them up.

    Raises:
        UnpicklingError: the checkpoint asks for anything else.
    """
    if owner is not HistoryBuffer or name.startswith('_'):
        raise UnpicklingError(f'refused to look up {name} of {owner}')

    return getattr(owner, name)


CheckpointLoader.register_scheme(rf'.*\{SAFETENSORS}$', load_from_safetensors, force=True)
allow(HistoryBuffer)
allow(statistic, 'builtins.getattr')
