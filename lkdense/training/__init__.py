"""How models are taught: hooks and optimizer constructors for MMEngine, and the arithmetic behind them."""

from .iteration_seed import IterationSeedHook
from .layer_decay import LayerDecayOptimWrapperConstructor
from .official_checkpoint_hook import OfficialCheckpointHook
from .sparse_hook import SparseTrainingHook

__all__ = ['IterationSeedHook', 'LayerDecayOptimWrapperConstructor', 'OfficialCheckpointHook', 'SparseTrainingHook']
