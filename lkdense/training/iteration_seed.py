"""Random state as a function of the iteration, so that a resumed training repeats an uninterrupted one exactly."""

import random

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import EpochBasedTrainLoop
from torch.utils.data import Dataset, get_worker_info

# Two kinds of keys keep the random numbers of the data pipeline apart from those of the model.
STEP, DATA = 0, 1


def seed_everything(*key: int) -> None:
    """Seed torch (all devices), numpy and ``random`` with one number mixed from ``key``, non-negative integers.

    >>> seed_everything(5, 0, 12)
    >>> first = torch.rand(3)
    >>> seed_everything(5, 0, 12)
    >>> torch.equal(torch.rand(3), first)
    True
    """
    seed = int(np.random.SeedSequence(key).generate_state(1)[0])
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


class SeededBatches:
    """Fetches the samples of a batch after seeding with the number of the iteration that will use it.

    It is set as ``dataset.__getitems__``, so the data loader calls it once a batch, in the main process or in a worker.
    Each worker counts its own calls: worker ``w`` of ``n`` gets the batches ``w``, ``w + n``, ``w + 2 n``, ...

    Args:
        dataset: returns a sample for an index.
        seed: the seed of the whole run.
        rank: the rank of this process, so that no two processes draw the same numbers.
    """

    def __init__(self, dataset: Dataset, seed: int, rank: int):
        self.dataset, self.seed, self.rank = dataset, seed, rank
        # The iteration of the epoch's first batch. Persistent workers keep their copy of the dataset, so it is shared.
        self.first = torch.zeros((), dtype=torch.int64).share_memory_()
        self.counted_from, self.calls = -1, 0

    def __call__(self, indices: list[int]) -> list:
        first = int(self.first)
        if first != self.counted_from:
            self.counted_from, self.calls = first, 0

        worker = get_worker_info()
        worker_id, num_workers = (worker.id, worker.num_workers) if worker else (0, 1)
        iteration = first + worker_id + num_workers * self.calls
        self.calls += 1
        seed_everything(self.seed, self.rank, iteration, DATA)

        return [self.dataset[index] for index in indices]


@HOOKS.register_module()
class IterationSeedHook(Hook):
    """Seed all random generators at every training iteration with (run's seed, rank, iteration).

    The random numbers of an iteration (drop path, dropout, sampled proposals) and of its batch (augmentation) no longer
    depend on those drawn before: not on an interruption, not on validation in between, not on the number of data
    loading workers. The order of the images follows the run's seed, even if only the resumed checkpoint knows it.

    Not covered: kernels that sum in no fixed order (``--deterministic`` avoids these), another number of processes, a
    checkpoint from the middle of an epoch in an epoch-based loop (MMEngine begins the epoch again), and, without
    workers, a sampler that cannot ``skip`` in an iteration-based loop.

    >>> hook = HOOKS.build(dict(type='IterationSeedHook'))
    >>> hook.priority
    'VERY_HIGH'
    """

    # It runs before any hook that might draw a number.
    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner) -> None:
        # An iteration-based loop calls this once, before it asks its data loader for the first batch.
        loader = runner.train_loop.dataloader
        for sampler in (loader.sampler, getattr(loader.batch_sampler, 'sampler', None)):
            # The sampler was built with a random seed, before the resumed checkpoint was read for the run's.
            if hasattr(sampler, 'seed'):
                sampler.seed = runner.seed

        batches = getattr(loader.dataset, '__getitems__', None)
        if not isinstance(batches, SeededBatches):
            batches = loader.dataset.__getitems__ = SeededBatches(loader.dataset, runner.seed, runner.rank)

        # If a sampler has no `skip`, MMEngine resumes by asking for all batches from the first one on.
        skips = isinstance(runner.train_loop, EpochBasedTrainLoop) or hasattr(loader.sampler, 'skip')
        batches.first.fill_(runner.iter if skips else 0)

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        seed_everything(runner.seed, runner.rank, runner.iter, STEP)
