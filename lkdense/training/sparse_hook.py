"""Dynamic sparse training as a hook of MMEngine; the arithmetic is in :mod:`lkdense.training.sparse_masks`."""

import random
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from mmengine.dist import broadcast, get_rank
from mmengine.hooks import EMAHook, Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..models import unwrap_model
from .sparse_masks import GROWTH_RULES, SparseMasks, decayed, erdos_renyi_kernel, snip, sparse_parameters, uniform

KINDS = {'conv': nn.Conv2d, 'linear': nn.Linear}
MODES = ('dynamic', 'fixed')
DISTRIBUTIONS = ('snip', 'erdos_renyi_kernel', 'uniform', 'zeros')
# Optimizers keep their momentum under one of these names.
MOMENTUM_KEYS = ('exp_avg', 'momentum_buffer')
# The checkpoint's entry that holds the masks.
KEY = 'sparse_masks'


@HOOKS.register_module()
class SparseTrainingHook(Hook):
    """Keep a share of the backbone's weights at zero and change which ones while the model trains, as SLaK does.

    Frozen layers stay as they are. The checkpoints hold the masks, so a resumed training continues with them.

    In a config: ``custom_hooks = [dict(type='lkdense.SparseTrainingHook', density=0.6, interval=2000)]``.

    >>> hook = HOOKS.build(dict(type='SparseTrainingHook', density=0.6, interval=2000))
    >>> hook.density, hook.distribution, hook.growth
    (0.6, 'snip', 'random')

    Args:
        density: the share of all chosen weights that may differ from zero; None if ``distribution`` is ``zeros``.
        distribution: how the density is distributed over the layers: ``snip`` (by weight times gradient on the first
            batches), ``erdos_renyi_kernel``, ``uniform``, or ``zeros`` (as in the weights that were loaded).
        mode: ``dynamic``, or ``fixed`` to leave the zeros where they are.
        growth: the weights that grow again: ``random`` ones, or those with the largest ``gradient`` or ``momentum``.
        prune_rate: the share of active weights that the first move prunes; it decays to 0 by half a cosine.
        interval: the number of iterations between two moves.
        until: the share of the training after which nothing moves any more.
        kinds: the types of layers, among ``conv`` and ``linear``.
        pattern: a regular expression that a layer's name must contain, such as ``depthwise`` for the large kernels
            alone; by default all layers are chosen.
        part: the part of the model that holds the layers; '' for the whole model with its heads.
        batches: the number of training batches that ``snip`` uses.
        seed: the seed of all random choices.

    Raises:
        ValueError: an argument is unknown or out of range.
    """

    # EMAHook averages before it runs, and CheckpointHook saves afterwards.
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
        _check_choice('distribution', distribution, DISTRIBUTIONS)
        _check_choice('mode', mode, MODES)
        _check_choice('growth', growth, GROWTH_RULES)
        for kind in kinds:
            _check_choice('kinds', kind, tuple(KINDS))

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
        self.parameters = self._chosen_weights(unwrap_model(runner.model))
        self._averages = [_only(average, self.parameters) for average in _averaged_parameters(runner)]

        if self._saved:
            self.masks = SparseMasks(self.parameters, seed=self.seed)
            self.masks.load_state_dict(self._saved['masks'])
            # The interval may be longer now than before; there would have been no more moves than this.
            self.moves = min(self._saved['moves'], runner.iter // self.interval)
        else:
            self.masks = SparseMasks(self.parameters, self._densities(runner), self.seed)
            self._share_masks_of_first_process()

        for weights in (self.parameters, *self._averages):
            self.masks.apply(weights)
        runner.optim_wrapper.optimizer.register_step_post_hook(lambda *_: self._after_step(runner))

        self._figures = self._current_figures()
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
        """Apply the masks and, once an interval, move them. The optimizer calls it while the gradients still exist."""
        self.masks.apply()

        iterations = runner.iter + 1
        end = self.until * runner.max_iters
        if self.mode == 'fixed' or iterations > end or iterations // self.interval <= self.moves:
            return

        self.moves = iterations // self.interval
        optimizer = runner.optim_wrapper.optimizer
        rate = decayed(self.prune_rate, iterations / end)
        self.masks.move(rate, self.growth, self._scores(optimizer), optimizer)

        self._figures = self._current_figures()
        runner.logger.info(
            f'sparse training: pruned {self.masks.pruned:,} weights and regrew {self.masks.regrown:,}; '
            '{density:.1%} are active and {explored:.1%} have been'.format(**self._figures)
        )

    def _chosen_weights(self, model: nn.Module) -> dict[str, nn.Parameter]:
        def is_chosen(name: str, layer: nn.Module) -> bool:
            return layer.weight.requires_grad and bool(re.search(self.pattern, name))

        prefix = f'{self.part}.' if self.part else ''
        weights = sparse_parameters(model.get_submodule(self.part), self.kinds, is_chosen)

        return {prefix + name: weight for name, weight in weights.items()}

    def _current_figures(self) -> dict[str, float]:
        # Each of these waits for the device, so they are computed only when the masks have changed.
        masks = self.masks
        return dict(density=masks.density, explored=masks.explored, pruned=masks.pruned, regrown=masks.regrown)

    def _scores(self, optimizer: torch.optim.Optimizer) -> dict[str, Tensor] | None:
        if self.growth == 'random':
            return None
        if self.growth == 'gradient':
            return {name: weight.grad for name, weight in self.parameters.items()}

        states = {name: optimizer.state[weight] for name, weight in self.parameters.items()}
        available = [key for key in MOMENTUM_KEYS if key in next(iter(states.values()))]
        if not available:
            raise ValueError(f'growth by momentum needs an optimizer that has one, got {type(optimizer).__name__}')

        return {name: state[available[0]] for name, state in states.items()}

    def _densities(self, runner: Runner) -> dict[str, float] | None:
        """Return the density of each layer; None for that of the weights that were loaded."""
        if self.distribution == 'zeros':
            return None
        if self.distribution == 'snip':
            return snip(self._sensitivities(runner), self.density)

        rule = uniform if self.distribution == 'uniform' else erdos_renyi_kernel
        return rule(self.parameters, self.density)

    def _sensitivities(self, runner: Runner) -> dict[str, Tensor]:
        """Return |weight x gradient| of the first batches; running statistics and random numbers stay as they were."""
        model = unwrap_model(runner.model)
        buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}

        with _same_random_numbers_afterwards():
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
        # The sampler of the training must not move on, so these batches have an order of their own.
        generator = torch.Generator().manual_seed(self.seed + get_rank())
        options = dict(shuffle=True, drop_last=True, generator=generator, collate_fn=loader.collate_fn)

        return DataLoader(loader.dataset, loader.batch_size, **options)

    def _share_masks_of_first_process(self) -> None:
        for mask in (*self.masks.masks.values(), *self.masks.ever_active.values()):
            numbers = mask.to(torch.uint8)
            broadcast(numbers)
            mask.copy_(numbers.bool())


def _check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ValueError(f'{name} must be one of {", ".join(choices)}, got {value!r}')


@contextmanager
def _same_random_numbers_afterwards() -> Iterator[None]:
    """Restore the states of all random generators afterwards."""
    python, arrays = random.getstate(), np.random.get_state()
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []

    with torch.random.fork_rng(devices):
        yield

    random.setstate(python)
    np.random.set_state(arrays)


def _averaged_parameters(runner: Runner) -> Iterator[dict[str, nn.Parameter]]:
    """Yield the averaged parameters of each EMAHook, by their names in the model."""
    for hook in runner.hooks:
        if isinstance(hook, EMAHook):
            yield dict(unwrap_model(hook.ema_model.module).named_parameters())


def _only(average: dict[str, nn.Parameter], names: dict[str, nn.Parameter]) -> dict[str, nn.Parameter]:
    return {name: average[name] for name in names}
