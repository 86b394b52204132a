"""Dynamic sparse training as a hook of MMEngine; the arithmetic is in :mod:`lkdense.training.sparse_masks`."""

import random
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from mmengine.dist import broadcast, get_rank
from mmengine.hooks import EMAHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.data import DataLoader

from .sparse_masks import GROWTH_RULES, SparseMasks, decayed, erdos_renyi_kernel, snip, sparse_parameters, uniform

KINDS = {'conv': nn.Conv2d, 'linear': nn.Linear}
DISTRIBUTIONS = ('snip', 'erdos_renyi_kernel', 'uniform', 'zeros')
KEY = 'sparse_masks'


@HOOKS.register_module()
class SparseTrainingHook(Hook):
    """Keep a share of the backbone's weights at zero, and let it move while the model trains, as SLaK does.

    Frozen layers stay as they are.

    The masks are in the checkpoints, and a resumed training goes on with them.

    Args:
        density: the share of all chosen weights that may differ from zero; None with ``zeros``, which reads it off.
        distribution: over the layers: ``snip`` (by weight times gradient on the first batches), ``erdos_renyi_kernel``,
            ``uniform``, or ``zeros`` (as they are in the weights that were loaded).
        mode: ``dynamic``, or ``fixed``: the zeros stay where they are.
        growth: where weights grow again: ``random``, or at the largest ``gradient`` or ``momentum``.
        prune_rate: the share of active weights that is moved at first; it decays to 0 by half a cosine.
        interval: iterations between two moves.
        until: the share of the training after which nothing moves any more.
        kinds: types of layers, of ``conv`` and ``linear``.
        pattern: a regular expression that is found in the names of the layers, such as ``depthwise`` for the large
            kernels alone; by default all of them.
        part: where in the model the layers are; '' for the heads as well.
        batches: how many of the training set ``snip`` looks at.
        seed: of the choices made at random.

    Raises:
        ValueError: an argument that is none of these.
    """

    # after EMAHook has averaged and before CheckpointHook saves
    priority = 'LOW'

    def __init__(
        self,
        density: float | None = 0.6,
        distribution: str = 'snip',
        mode: str = 'dynamic',
        growth: str = 'random',
        prune_rate: float = 0.5,
        interval: int = 2000,
        until: float = 1.0,
        kinds: Sequence[str] = ('conv', 'linear'),
        pattern: str = '',
        part: str = 'backbone',
        batches: int = 1,
        seed: int = 0,
    ):
        for name, value, choices in (
            ('distribution', distribution, DISTRIBUTIONS),
            ('mode', mode, ('dynamic', 'fixed')),
            ('growth', growth, GROWTH_RULES),
            *(('kinds', kind, tuple(KINDS)) for kind in kinds),
        ):
            if value not in choices:
                raise ValueError(f'{name} must be of {", ".join(choices)}, got {value!r}')

        if (density is None) != (distribution == 'zeros'):
            raise ValueError(
                f'density must be given unless distribution is zeros, got {density!r} and {distribution!r}'
            )

        if not 0 <= prune_rate < 1 or not 0 < until <= 1 or interval < 1:
            raise ValueError(
                f'prune_rate must be in [0, 1), until in (0, 1] and interval at least 1, '
                f'got {prune_rate!r}, {until!r} and {interval!r}'
            )

        self.density, self.distribution, self.mode, self.growth = density, distribution, mode, growth
        self.prune_rate, self.interval, self.until = prune_rate, interval, until
        self.kinds, self.pattern, self.part = tuple(KINDS[kind] for kind in kinds), pattern, part
        self.batches, self.seed = batches, seed
        self.masks: SparseMasks | None = None
        self.moves = 0
        self._saved: dict | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        if runner._resume:
            self._saved = checkpoint.get(KEY)

    def before_train(self, runner: Runner) -> None:
        model = _inner(runner.model)
        prefix = f'{self.part}.' if self.part else ''
        self.parameters = {
            prefix + name: weight
            for name, weight in sparse_parameters(
                model.get_submodule(self.part),
                self.kinds,
                lambda name, layer: layer.weight.requires_grad and bool(re.search(self.pattern, name)),
            ).items()
        }

        if self._saved:
            self.masks = SparseMasks(self.parameters, seed=self.seed)
            self.masks.load_state_dict(self._saved['masks'])
            # no more than there would have been, if the interval is a longer one now
            self.moves = min(self._saved['moves'], runner.iter // self.interval)
        else:
            densities = None if self.distribution == 'zeros' else self._densities(runner)
            self.masks = SparseMasks(self.parameters, densities, self.seed)
            self._agree()

        self._averages = [{name: average[name] for name in self.parameters} for average in _averages(runner)]
        for weights in (self.parameters, *self._averages):
            self.masks.apply(weights)

        self._figures = self._counted()
        runner.optim_wrapper.optimizer.register_step_post_hook(lambda *_: self._after_step(runner))
        weights = sum(weight.numel() for weight in self.parameters.values())
        runner.logger.info(
            f'sparse training: {self._figures["density"]:.1%} of {weights:,} weights in {len(self.parameters)} layers '
            'may differ from zero'
        )

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        for average in self._averages:
            self.masks.apply(average)
        for name, value in self._figures.items():
            runner.message_hub.update_scalar(f'train/sparse/{name}', value)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        checkpoint[KEY] = dict(masks=self.masks.state_dict(), moves=self.moves)

    def _after_step(self, runner: Runner) -> None:
        # inside of the optimizer's step: the gradients are still there
        self.masks.apply()
        done = runner.iter + 1
        end = self.until * runner.max_iters
        if self.mode == 'dynamic' and done <= end and done // self.interval > self.moves:
            self.moves = done // self.interval
            optimizer = runner.optim_wrapper.optimizer
            rate = decayed(self.prune_rate, done / end)
            self.masks.move(rate, self.growth, self._scores(optimizer), optimizer)
            self._figures = self._counted()
            runner.logger.info(
                f'sparse training: pruned {self.masks.pruned:,} weights and regrew {self.masks.regrown:,}; '
                '{density:.1%} are active and {explored:.1%} have been'.format(**self._figures)
            )

    def _counted(self) -> dict[str, float]:
        # each of these waits for the device: only when they change
        masks = self.masks
        return dict(density=masks.density, explored=masks.explored, pruned=masks.pruned, regrown=masks.regrown)

    def _scores(self, optimizer: torch.optim.Optimizer) -> dict[str, Tensor] | None:
        if self.growth == 'random':
            return None
        if self.growth == 'gradient':
            return {name: weight.grad for name, weight in self.parameters.items()}
        state = {name: optimizer.state[weight] for name, weight in self.parameters.items()}
        key = next((key for key in ('exp_avg', 'momentum_buffer') if key in next(iter(state.values()))), None)
        if key is None:
            raise ValueError(f'growth by momentum needs an optimizer that has one, got {type(optimizer).__name__}')
        return {name: values[key] for name, values in state.items()}

    def _densities(self, runner: Runner) -> dict[str, float]:
        if self.distribution == 'snip':
            return snip(self._sensitivities(runner), self.density)
        rule = uniform if self.distribution == 'uniform' else erdos_renyi_kernel
        return rule(self.parameters, self.density)

    def _sensitivities(self, runner: Runner) -> dict[str, Tensor]:
        """Return |weight x gradient| of the first batches; running statistics and random numbers stay as they were."""
        model = _inner(runner.model)
        buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}

        with _random_numbers_kept():
            for _, batch in zip(range(self.batches), self._batches(runner.train_dataloader)):
                inputs = model.data_preprocessor(batch, True)
                with runner.optim_wrapper.optim_context(runner.model):
                    losses = runner.model(**inputs, mode='loss')
                loss, _ = model.parse_losses(losses)
                loss.backward()

        scores = {name: (weight.detach() * weight.grad).abs() for name, weight in self.parameters.items()}
        model.zero_grad()
        for name, buffer in model.named_buffers():
            buffer.copy_(buffers[name])

        return scores

    def _batches(self, loader: DataLoader) -> DataLoader:
        # with an order of its own: the sampler of the training must not move on
        generator = torch.Generator().manual_seed(self.seed + get_rank())
        options = dict(shuffle=True, drop_last=True, generator=generator, collate_fn=loader.collate_fn)
        return DataLoader(loader.dataset, loader.batch_size, **options)

    def _agree(self) -> None:
        """Let all processes take the masks of the first."""
        for mask in (*self.masks.masks.values(), *self.masks.ever_active.values()):
            same = mask.to(torch.uint8)
            broadcast(same)
            mask.copy_(same.bool())


@contextmanager
def _random_numbers_kept() -> Iterator[None]:
    python, arrays = random.getstate(), np.random.get_state()
    with torch.random.fork_rng([torch.cuda.current_device()] if torch.cuda.is_available() else []):
        yield
    random.setstate(python)
    np.random.set_state(arrays)


def _inner(model: nn.Module) -> nn.Module:
    return model.module if is_model_wrapper(model) else model


def _averages(runner: Runner) -> Iterator[dict[str, nn.Parameter]]:
    for hook in runner.hooks:
        if isinstance(hook, EMAHook):
            yield dict(_inner(hook.ema_model.module).named_parameters())
