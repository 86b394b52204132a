"""Adapters of lkdense to MMEngine: hooks and optimizer constructors."""

from ..checkpoints import mmengine
from . import trained_checkpoint
from .iteration_seed import IterationSeedHook
from .layer_decay import LayerDecayOptimWrapperConstructor
from .official_checkpoint_hook import OfficialCheckpointHook
from .sparse_hook import SparseTrainingHook

__all__ = [
    'IterationSeedHook',
    'LayerDecayOptimWrapperConstructor',
    'OfficialCheckpointHook',
    'SparseTrainingHook',
    'safetensors_scheme',
    'trained_checkpoint',
]
