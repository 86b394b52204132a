"""safetensors files wherever MMEngine takes a checkpoint: ``load_from``, ``init_cfg``, ``load_checkpoint``."""

from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor

from .file import SAFETENSORS, read


def load_from_safetensors(filename: str, map_location: object = None) -> dict[str, Tensor]:
    """Return the tensors of a file, on the CPU: a model's parameters stay where they are as they take the values."""
    return read(filename)


CheckpointLoader.register_scheme(rf'.*\{SAFETENSORS}$', load_from_safetensors, force=True)
