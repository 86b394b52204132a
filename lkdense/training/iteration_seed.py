"""Random state as a function of the iteration, so that a resumed training repeats an uninterrupted one exactly."""

import random

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import EpochBasedTrainLoop
from torch.utils.data import Dataset, get_worker_info

# keeps the random numbers of the data pipeline apart from those of the model
STEP, DATA = 0, 1


def seed_everything(*key: int) -> None:
    """Seed torch (all devices), numpy and ``random`` with one number mixed from ``key``, non-negative integers."""
    seed = int(np.random.SeedSequence(key).generate_state(1)[0])
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


class SeededBatches:
    """Fetches the samples of a batch after seeding with the number of the iteration that will use it.

    A data loader that finds it as ``dataset.__getitems__`` calls it once a batch, in the main process or in a worker.
    Each worker counts its own calls: worker ``w`` of ``n`` gets the batches ``w``, ``w + n``, ``w + 2 n``, ...

    Args:
        dataset: gives a sample for an index.
        seed: of the whole run.
        rank: of this process, so that no two draw the same numbers.
    """

    def __init__(self, dataset: Dataset, seed: int, rank: int):
        self.dataset, self.seed, self.rank = dataset, seed, rank
        # the iteration of the epoch's first batch; shared, because persistent workers keep their copy of the dataset
        self.first = torch.zeros((), dtype=torch.int64).share_memory_()
        self.counted_from, self.calls = -1, 0

    def __call__(self, indices: list[int]) -> list:
        first = int(self.first)
        if first != self.counted_from:
            self.counted_from, self.calls = first, 0
        worker = get_worker_info()
        worker_id, num_workers = (worker.id, worker.num_workers) if worker else (0, 1)
        seed_everything(self.seed, self.rank, first + worker_id + num_workers * self.calls, DATA)
        self.calls += 1
        return [self.dataset[index] for index in indices]


@HOOKS.register_module()
class IterationSeedHook(Hook):
    """Seed all random generators at every training iteration with (run's seed, rank, iteration).

    What is drawn in an iteration (drop path, dropout, sampled proposals) and while its batch is loaded
    (augmentation) no longer depends on what was drawn before: not on an interruption, not on validation in between,
    not on the number of data loading workers. The order of the images follows the run's seed, also where it is only
    known from the checkpoint that is resumed.

    Not covered: kernels that sum in no fixed order (``--deterministic``), another number of processes, a checkpoint
    taken in the middle of an epoch of an epoch-based loop (MMEngine begins the epoch again), and in an
    iteration-based loop a sampler that cannot ``skip`` if there are no workers.
    """

    priority = 'VERY_HIGH'  # before any hook that might draw a number

    def before_train_epoch(self, runner) -> None:
        # an iteration-based loop calls this once, before its data loader is first asked for a batch
        loader = runner.train_loop.dataloader
        for sampler in (loader.sampler, getattr(loader.batch_sampler, 'sampler', None)):
            # built with a seed of its own draw, before the resumed checkpoint told the run's
            if hasattr(sampler, 'seed'):
                sampler.seed = runner.seed
        batches = getattr(loader.dataset, '__getitems__', None)
        if not isinstance(batches, SeededBatches):
            batches = loader.dataset.__getitems__ = SeededBatches(loader.dataset, runner.seed, runner.rank)
        # without `skip`, MMEngine resumes by asking for all batches from the first one on
        skips = isinstance(runner.train_loop, EpochBasedTrainLoop) or hasattr(loader.sampler, 'skip')
        batches.first.fill_(runner.iter if skips else 0)

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        seed_everything(runner.seed, runner.rank, runner.iter, STEP)
