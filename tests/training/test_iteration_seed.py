"""Training with a real Runner: interrupted and resumed, with more or fewer workers, with and without validation."""

import itertools
import random

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

import lkdense.training  # noqa: F401  registers the hook

ITERATIONS, STOP, PER_EPOCH = 9, 6, 3
# MMEngine requires that every runner of a process has its own name.
COUNT = itertools.count()


class Noise(Dataset):
    """Each sample is drawn anew, from all three generators."""

    def __len__(self):
        return 2 * PER_EPOCH

    def __getitem__(self, index):
        noise = [random.random(), np.random.rand(), torch.rand(()).item()]
        return dict(inputs=torch.tensor([index, *noise], dtype=torch.float32))


class Dropout(BaseModel):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.5), nn.Linear(16, 1))

    def forward(self, inputs, mode='tensor'):
        output = self.layers(torch.stack(inputs))
        return dict(loss=output.square().mean()) if mode == 'loss' else list(output)


class DrawingMetric(BaseMetric):
    """Validation that draws random numbers of its own."""

    def process(self, data_batch, data_samples):
        self.results += [random.random() + torch.rand(()).item()]

    def compute_metrics(self, results):
        return dict(score=float(np.random.rand()))


class Record(Hook):
    """Keeps every batch and every loss by its iteration, and stops after ``stop`` of them as a kill would."""

    def __init__(self, stop):
        self.stop, self.iterations = stop, {}

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.iterations[runner.iter] = (torch.stack(data_batch['inputs']), outputs['loss'].item())
        if runner.iter + 1 == self.stop:
            # The hooks after this one still write the checkpoint.
            runner.train_loop.stop_training = True
            runner.train_loop._max_epochs = 0


def train(work_dir, by_epoch, *, stop=None, resume=False, workers=0, validate=False, seed=5, hooked=True):
    """Train and return ``{iteration: (batch, loss)}``; of a part of the training if it stops or resumes."""
    loop = dict(type='EpochBasedTrainLoop', max_epochs=ITERATIONS // PER_EPOCH, val_interval=1)
    if not by_epoch:
        loop = dict(type='IterBasedTrainLoop', max_iters=ITERATIONS, val_interval=2)

    loader = dict(
        batch_size=2,
        num_workers=workers,
        persistent_workers=workers > 0,
        sampler=dict(type='DefaultSampler' if by_epoch else 'InfiniteSampler', shuffle=True),
    )
    validation = {}

    if validate:
        validation = dict(
            val_dataloader=dict(dataset=Noise(), num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False)),
            val_cfg=dict(),
            val_evaluator=[DrawingMetric()],
        )

    record = Record(stop)
    runner = Runner(
        model=dict(type=Dropout),
        work_dir=str(work_dir),
        train_dataloader=dict(dataset=Noise(), **loader),
        train_cfg=loop,
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.1)),
        param_scheduler=dict(type='PolyLR', by_epoch=False, begin=0, end=ITERATIONS),
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', by_epoch=by_epoch, interval=1 if by_epoch else PER_EPOCH),
            logger=None,
        ),
        custom_hooks=[record, dict(type='IterationSeedHook')] if hooked else [record],
        randomness=dict(seed=seed),
        experiment_name=f'run_{next(COUNT)}',
        resume=resume,
        log_level='ERROR',
        cfg=Config(),
        **validation,
    )
    runner.train()

    # Persistent workers end at once if nothing holds them; the garbage collector would wait five seconds for each.
    vars(runner.train_loop).pop('dataloader_iterator', None)
    runner.train_dataloader._iterator = None

    return record.iterations


def assert_same(iterations, expected):
    for iteration, (batch, loss) in iterations.items():
        assert torch.equal(batch, expected[iteration][0]), iteration
        assert loss == expected[iteration][1], iteration


@pytest.fixture(params=[False, True], ids=['by iteration', 'by epoch'])
def by_epoch(request):
    return request.param


@pytest.mark.parametrize(('workers', 'workers_then'), [(0, 0), (0, 2), (2, 1)])
def test_resuming_repeats_the_uninterrupted_training(tmp_path, by_epoch, workers, workers_then):
    expected = train(tmp_path / 'whole', by_epoch, workers=workers)
    assert list(expected) == list(range(ITERATIONS))

    train(tmp_path / 'parts', by_epoch, stop=STOP, workers=workers)
    resumed = train(tmp_path / 'parts', by_epoch, resume=True, workers=workers_then, validate=True)
    assert list(resumed) == list(range(STOP, ITERATIONS))
    assert_same(resumed, expected)


def test_without_the_hook_it_does_not(tmp_path, by_epoch):
    expected = train(tmp_path / 'whole', by_epoch, hooked=False)
    train(tmp_path / 'parts', by_epoch, stop=STOP, hooked=False)
    resumed = train(tmp_path / 'parts', by_epoch, resume=True, hooked=False)
    assert all(resumed[iteration][1] != expected[iteration][1] for iteration in resumed)


def test_workers_and_validation_change_nothing(tmp_path, by_epoch):
    expected = train(tmp_path / 'plain', by_epoch)
    assert_same(train(tmp_path / 'validating', by_epoch, validate=True), expected)
    assert_same(train(tmp_path / 'workers', by_epoch, workers=2), expected)


def test_no_two_iterations_draw_the_same(tmp_path, by_epoch):
    noise = [batch[:, 1:] for batch, _ in train(tmp_path, by_epoch, workers=2).values()]
    numbers = torch.cat(noise).flatten().tolist()
    assert len(set(numbers)) == len(numbers)


def test_the_seed_matters_and_comes_from_the_resumed_checkpoint(tmp_path, by_epoch):
    expected = train(tmp_path / 'whole', by_epoch)
    other = train(tmp_path / 'other', by_epoch, seed=6)
    assert all(other[iteration][1] != expected[iteration][1] for iteration in expected)

    train(tmp_path / 'parts', by_epoch, stop=STOP)
    # The order of the samples is the same too, although the sampler was built with a random seed.
    assert_same(train(tmp_path / 'parts', by_epoch, resume=True, seed=None), expected)
