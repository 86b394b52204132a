"""Sparse training with a real Runner: counts, resume, averages, accumulation, recomputation, several processes."""

import itertools
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

from lkdense import SLaK
from lkdense.training import SparseTrainingHook
from lkdense.training.sparse_masks import sparse_parameters

ITERATIONS, STOP = 12, 6
ARCH = dict(depths=(1, 1, 1, 1), dims=(8, 8, 8, 8))
COUNT = itertools.count()


class Images(Dataset):
    def __len__(self):
        return 16

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        return dict(inputs=torch.randn(3, 32, 32, generator=generator))


class Model(BaseModel):
    def __init__(self, with_cp=False, frozen_stages=-1):
        super().__init__()
        self.backbone = SLaK(
            ARCH, kernel_sizes=(9, 9, 9, 9), small_kernel=3, with_cp=with_cp, frozen_stages=frozen_stages
        )
        self.head = nn.Conv2d(10, 3, 1)

    def forward(self, inputs, mode='tensor'):
        output = self.head(self.backbone(torch.stack(inputs))[-1])
        return dict(loss=output.square().mean()) if mode == 'loss' else output


class Watch(Hook):
    """Keeps the weights after each iteration, before anything else may touch them, and stops as a kill would."""

    priority = 'VERY_LOW'

    def __init__(self, stop=None):
        self.stop, self.zeros, self.losses = stop, [], {}

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        weights = sparse_parameters(runner.model.backbone)
        self.zeros.append({name: int((weight == 0).sum()) for name, weight in weights.items()})
        self.losses[runner.iter] = outputs['loss'].item()
        if runner.iter + 1 == self.stop:
            runner.train_loop.stop_training = True


def train(work_dir, *, stop=None, resume=False, hooks=(), model=None, wrapper=None, load_from=None, **options):
    torch.manual_seed(3)
    watch = Watch(stop)
    sparse = SparseTrainingHook(**{'density': 0.4, 'interval': 2, **options})
    loader = dict(batch_size=4, num_workers=0, sampler=dict(type='InfiniteSampler', shuffle=True))
    runner = Runner(
        model=Model(**model or {}),
        work_dir=str(work_dir),
        train_dataloader=dict(dataset=Images(), **loader),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=ITERATIONS),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.01), **(wrapper or {})),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=STOP), logger=None),
        custom_hooks=[sparse, watch, dict(type='IterationSeedHook'), *hooks],
        randomness=dict(seed=5),
        experiment_name=f'sparse_{next(COUNT)}',
        resume=resume,
        load_from=load_from,
        log_level='ERROR',
        cfg=Config(),
    )
    runner.train()

    return runner, sparse, watch


@pytest.mark.parametrize('growth', ['random', 'gradient', 'momentum'])
@pytest.mark.parametrize('distribution', ['snip', 'erdos_renyi_kernel', 'uniform'])
def test_as_many_weights_are_zero_after_every_iteration(tmp_path, growth, distribution):
    _, sparse, watch = train(tmp_path, growth=growth, distribution=distribution)
    wanted = {name.removeprefix('backbone.'): int((~mask).sum()) for name, mask in sparse.masks.masks.items()}

    for zeros in watch.zeros:
        # A weight that has just grown is still zero, so there may be more zeros than inactive weights, never fewer.
        assert all(zeros[name] >= count for name, count in wanted.items())

    assert watch.zeros[-1].keys() == wanted.keys()
    assert sparse.moves == ITERATIONS // 2
    assert sparse.masks.density == pytest.approx(0.4, abs=0.01)
    assert sparse.masks.explored > sparse.masks.density


def test_fixed_masks_stay_where_they_are(tmp_path):
    _, sparse, _ = train(tmp_path, mode='fixed')
    assert sparse.moves == 0
    assert sparse.masks.explored == sparse.masks.density

    # For fine-tuning, the zeros are read off the sparse checkpoint.
    checkpoint = str(tmp_path / f'iter_{ITERATIONS}.pth')
    _, again, _ = train(tmp_path / 'fine', mode='fixed', density=None, distribution='zeros', load_from=checkpoint)
    assert all(torch.equal(mask, again.masks.masks[name]) for name, mask in sparse.masks.masks.items())


def test_heads_are_dense_unless_asked(tmp_path):
    runner, _, _ = train(tmp_path)
    assert runner.model.head.weight.count_nonzero() == runner.model.head.weight.numel()
    runner, _, _ = train(tmp_path / 'all', part='', distribution='uniform', mode='fixed')
    assert runner.model.head.weight.count_nonzero() == round(0.4 * runner.model.head.weight.numel())


def test_layers_can_be_chosen_by_name(tmp_path):
    _, sparse, _ = train(tmp_path, pattern='depthwise', kinds=['conv'])
    assert len(sparse.masks.masks) == 3 * 4
    assert all('depthwise' in name for name in sparse.masks.masks)


@pytest.mark.parametrize('growth', ['random', 'gradient'])
def test_a_resumed_training_is_the_uninterrupted_one(tmp_path, growth):
    whole, sparse, watch = train(tmp_path / 'whole', growth=growth)
    train(tmp_path / 'parts', growth=growth, stop=STOP)
    resumed, again, watch_again = train(tmp_path / 'parts', growth=growth, resume=True)

    assert min(watch_again.losses) == STOP
    assert all(loss == watch.losses[iteration] for iteration, loss in watch_again.losses.items())
    torch.testing.assert_close(again.masks.state_dict(), sparse.masks.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(resumed.model.state_dict(), whole.model.state_dict(), rtol=0, atol=0)


def test_the_look_at_the_first_batches_changes_nothing_else(tmp_path):
    by_look, _, watch = train(tmp_path / 'a', density=1.0, distribution='snip', mode='fixed')
    without, _, same = train(tmp_path / 'b', density=1.0, distribution='uniform', mode='fixed')
    assert watch.losses == same.losses
    torch.testing.assert_close(by_look.model.state_dict(), without.model.state_dict(), rtol=0, atol=0)


def test_averaged_weights_stay_sparse(tmp_path):
    train(tmp_path, hooks=[dict(type='EMAHook', momentum=0.1)])
    checkpoint = torch.load(tmp_path / f'iter_{ITERATIONS}.pth', weights_only=False)
    masks = checkpoint['sparse_masks']['masks']['masks']
    active = sum(checkpoint['state_dict'][name][mask].count_nonzero() for name, mask in masks.items())
    assert active > 0.5 * sum(mask.sum() for mask in masks.values())

    for name, mask in masks.items():
        assert not checkpoint['state_dict'][name][~mask].any()
        assert not checkpoint['ema_state_dict'][f'module.{name}'][~mask].any()


@pytest.mark.parametrize(
    'more',
    [dict(wrapper=dict(accumulative_counts=2)), dict(model=dict(with_cp=True))],
    ids=['accumulation', 'recomputation'],
)
def test_it_works_with(tmp_path, more):
    runner, sparse, _ = train(tmp_path, growth='gradient', **more)
    assert sparse.moves == ITERATIONS // 2
    for name, mask in sparse.masks.masks.items():
        assert not runner.model.get_parameter(name)[~mask].any()


@pytest.mark.parametrize('options', [dict(), dict(growth='gradient', distribution='uniform'), dict(growth='momentum')])
def test_frozen_layers_stay_as_they_are(tmp_path, options):
    runner, sparse, _ = train(tmp_path, model=dict(frozen_stages=1), **options)
    frozen = sparse_parameters(runner.model.backbone.stages[0])
    assert all(weight.count_nonzero() == weight.numel() for weight in frozen.values())
    assert sparse.masks.masks and not any(name.startswith('backbone.stages.0') for name in sparse.masks.masks)


def test_a_longer_interval_after_a_resume(tmp_path):
    train(tmp_path, interval=1, stop=STOP)
    _, sparse, _ = train(tmp_path, interval=3, resume=True)
    assert sparse.moves == ITERATIONS // 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU, and mixed precision in MMEngine needs one')
def test_it_works_in_mixed_precision(tmp_path):
    runner, sparse, _ = train(tmp_path, growth='gradient', wrapper=dict(type='AmpOptimWrapper', loss_scale='dynamic'))
    for name, mask in sparse.masks.masks.items():
        assert not runner.model.get_parameter(name)[~mask].any()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(distribution='magic'), 'distribution must be one of snip, erdos_renyi_kernel, uniform, zeros'),
        (dict(growth='magic'), 'growth must be one of random, gradient, momentum'),
        (dict(mode='magic'), 'mode must be one of dynamic, fixed'),
        (dict(kinds=['magic']), 'kinds must be one of conv, linear'),
        (dict(density=None), 'density must be given unless distribution is zeros'),
        (dict(prune_rate=1.0), r'prune_rate must be in \[0, 1\)'),
    ],
)
def test_a_wrong_argument_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        SparseTrainingHook(**options)


def test_all_processes_have_the_same_masks(tmp_path):
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = str(free.getsockname()[1])

    processes = []
    for rank in ('0', '1'):
        world = dict(WORLD_SIZE='2', RANK=rank, LOCAL_RANK=rank, MASTER_ADDR='127.0.0.1', MASTER_PORT=port)
        process = subprocess.Popen(
            [sys.executable, __file__, str(tmp_path)],
            env={**os.environ, **world, 'OMP_NUM_THREADS': '1'},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        processes.append(process)

    outputs = [process.communicate(timeout=600)[0] for process in processes]
    assert all(process.returncode == 0 for process in processes), '\n'.join(outputs)

    first, second = (torch.load(tmp_path / f'rank{rank}.pth') for rank in range(2))
    assert first['first_input'] != second['first_input']
    torch.testing.assert_close(first['masks'], second['masks'], rtol=0, atol=0)
    torch.testing.assert_close(first['weights'], second['weights'], rtol=0, atol=0)


def one_of_two_processes(folder: Path) -> None:
    from lkdense.training.runner import ToolRunner

    rank = int(os.environ['RANK'])
    inputs = []

    class KeepInputs(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            inputs.append(float(data_batch['inputs'][0].sum()))

    sparse = SparseTrainingHook(density=0.4, interval=2, growth='gradient', seed=rank)
    loader = dict(batch_size=4, num_workers=0, sampler=dict(type='InfiniteSampler', shuffle=True))
    runner = ToolRunner(
        model=Model(),
        work_dir=str(folder / 'work'),
        train_dataloader=dict(dataset=Images(), **loader),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=5),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.01)),
        default_hooks=dict(logger=None),
        custom_hooks=[sparse, KeepInputs()],
        randomness=dict(seed=5),
        launcher='pytorch',
        log_level='ERROR',
        cfg=Config(dict(model=dict(), find_unused_parameters=True)),
    )
    runner.train()

    weights = {name: weight.detach() for name, weight in sparse.parameters.items()}
    torch.save(dict(masks=sparse.masks.masks, weights=weights, first_input=inputs[0]), folder / f'rank{rank}.pth')


if __name__ == '__main__':
    one_of_two_processes(Path(sys.argv[1]))
