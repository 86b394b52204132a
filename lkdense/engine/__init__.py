"""Adapters of lkdense to MMEngine: hooks and optimizer constructors."""

from .iteration_seed import IterationSeedHook
from .layer_decay import LayerDecayOptimWrapperConstructor
from .official_checkpoint_hook import OfficialCheckpointHook

__all__ = ['IterationSeedHook', 'LayerDecayOptimWrapperConstructor', 'OfficialCheckpointHook']
