"""Dynamic sparse training: which weights of a layer are zero, and how these move while it trains.

"More ConvNets in the 2020s: Scaling up Kernels Beyond 51x51 using Sparsity" (SLaK), ICLR 2023,
https://arxiv.org/abs/2207.03620. The densities of layers come from SNIP, https://arxiv.org/abs/1810.02340, or from the
Erdos-Renyi kernel rule of "Rigging the Lottery" (RigL), https://arxiv.org/abs/1911.11134, as does regrowth by gradient.
"""

import math
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

from ..errors import first_few
from ..ops._torch_internals import multiply_all_

GROWTH_RULES = ('random', 'gradient', 'momentum')
# An error names this many layers and only counts the others.
LAYERS_SHOWN = 3


def sparse_parameters(
    model: nn.Module,
    kinds: Iterable[type] = (nn.Conv2d, nn.Linear),
    keep: Callable[[str, nn.Module], bool] | None = None,
) -> dict[str, nn.Parameter]:
    """Return the weights of all layers of some types, by their names in ``model``.

    >>> list(sparse_parameters(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 2))))
    ['0.weight', '3.weight']

    Args:
        model: any module.
        kinds: the types of layers.
        keep: called with the name and the layer; it returns whether the layer is chosen. By default all are.

    Raises:
        ValueError: no layer is chosen.
    """
    kinds = tuple(kinds)
    chosen = {}
    for name, layer in model.named_modules():
        if isinstance(layer, kinds) and (keep is None or keep(name, layer)):
            chosen[f'{name}.weight' if name else 'weight'] = layer.weight

    if not chosen:
        raise ValueError(f'no layer of {type(model).__name__} is chosen for sparse training')

    return chosen


def uniform(parameters: Mapping[str, Tensor], density: float) -> dict[str, float]:
    """Return the same density for every layer."""
    return dict.fromkeys(parameters, _checked(density))


def erdos_renyi_kernel(parameters: Mapping[str, Tensor], density: float) -> dict[str, float]:
    """Return densities that grow with the sum of a layer's dimensions over their product: small layers stay denser.

    Their mean, over all weights, is ``density``.
    """
    raw = {name: sum(weight.shape) / weight.numel() for name, weight in parameters.items()}
    return _scaled(raw, parameters, _checked(density))


def snip(scores: Mapping[str, Tensor], density: float) -> dict[str, float]:
    """Return the share of each layer's weights that are among the highest scores of all layers.

    A layer keeps one weight at least. Among equal scores, zeros above all, the choice is arbitrary.

    >>> snip({'a': torch.tensor([9.0, 8.0, 0.1, 0.1]), 'b': torch.tensor([7.0, 0.1, 0.1, 0.1])}, density=0.375)
    {'a': 0.5, 'b': 0.25}

    Args:
        scores: the score of every weight, in SNIP ``|weight x gradient|``, by the layers' names.
        density: the share of all weights to choose.

    Raises:
        ValueError: a score is not finite, or all are zero.
    """
    every = torch.cat([score.flatten() for score in scores.values()])
    if not (every.isfinite().all() and every.any()):
        raise ValueError('the scores must be finite and not all zero; the loss may be NaN or may reach no layer')

    count = max(round(_checked(density) * len(every)), 1)
    chosen = torch.zeros(len(every), dtype=torch.bool, device=every.device)
    chosen[torch.topk(every, count).indices] = True

    densities = {}
    for name, layer in zip(scores, chosen.split([score.numel() for score in scores.values()])):
        densities[name] = max(int(layer.sum()), 1) / len(layer)

    return densities


def from_zeros(parameters: Mapping[str, Tensor]) -> dict[str, float]:
    """Return the density of each layer as loaded: the share of its weights that are not zero."""
    return {name: weight.count_nonzero().item() / weight.numel() for name, weight in parameters.items()}


def decayed(rate: float, progress: float) -> float:
    """Return a pruning rate that falls by half a cosine from ``rate`` to 0 while ``progress`` goes from 0 to 1."""
    return rate * (1 + math.cos(math.pi * min(max(progress, 0.0), 1.0))) / 2


class SparseMasks:
    """Which weights of some layers may differ from zero; they change over time, their number does not.

    Every choice is made on the CPU from one seeded generator, so it is the same in all processes that have the same
    weights and gradients.

    >>> weight = nn.Parameter(torch.tensor([[5.0, -1.0, 3.0, 0.0]]))
    >>> masks = SparseMasks({'weight': weight})
    >>> masks.move(rate=1 / 3)
    >>> masks.masks['weight'], weight.count_nonzero()
    (tensor([[ True, False,  True,  True]]), tensor(2))

    Args:
        parameters: the weights by name, as :func:`sparse_parameters` returns them.
        densities: the share of each weight that may differ from zero, by the same names. By default the weights that
            are not zero now stay active.
        seed: the seed of all random choices.

    Raises:
        ValueError: a density is missing or not in (0, 1].
    """

    def __init__(
        self, parameters: Mapping[str, nn.Parameter], densities: Mapping[str, float] | None = None, seed: int = 0
    ):
        self.parameters = dict(parameters)
        self.generator = torch.Generator().manual_seed(seed)

        self.masks = {}
        for name, weight in self.parameters.items():
            self.masks[name] = weight.detach() != 0 if densities is None else self._drawn(weight, densities.get(name))

        self.ever_active = {name: mask.clone() for name, mask in self.masks.items()}
        # Numbers of weights in the last move.
        self.pruned = self.regrown = 0
        self._factors = None

    @property
    def density(self) -> float:
        """The share of all weights of these layers that may differ from zero."""
        return _share(self.masks)

    @property
    def explored(self) -> float:
        """The share of all weights of these layers that have been active at some time."""
        return _share(self.ever_active)

    @torch.no_grad()
    def apply(self, parameters: Mapping[str, Tensor] | None = None) -> None:
        """Set the inactive weights to zero, in place: those of the layers, or of an average with the same names."""
        weights = list((parameters or self.parameters).values())
        multiply_all_([weight.data for weight in weights], self._as_factors(weights))

    @torch.no_grad()
    def move(
        self,
        rate: float,
        growth: str = 'random',
        scores: Mapping[str, Tensor] | None = None,
        optimizer: torch.optim.Optimizer | None = None,
    ) -> None:
        """Prune the smallest weights of every layer and let as many others grow, from zero.

        Args:
            rate: the share of a layer's active weights to prune.
            growth: ``random``, or the weights with the largest ``scores``: ``gradient`` or ``momentum``.
            scores: for ``gradient`` and ``momentum``, a tensor of each weight's shape, by name.
            optimizer: the optimizer that trains the weights; its state for those that change is set to zero.

        Raises:
            ValueError: the growth is unknown, or there are no scores for it.
        """
        if growth not in GROWTH_RULES:
            raise ValueError(f'growth must be one of {", ".join(GROWTH_RULES)}, got {growth!r}')
        if growth != 'random' and scores is None:
            raise ValueError(f'growth by {growth} needs scores')

        self.pruned = self.regrown = 0
        for name, weight in self.parameters.items():
            mask = self.masks[name]
            active = int(mask.sum())
            # No more are pruned than there is room for elsewhere; otherwise some would grow again at once.
            count = min(round(rate * active), mask.numel() - active)
            if not count:
                continue

            pruned = _smallest(weight.detach().abs().masked_fill(~mask, torch.inf), count)
            score = torch.rand(mask.shape, generator=self.generator) if growth == 'random' else scores[name].abs()
            grown = _smallest(-score.to(weight).masked_fill(mask, -torch.inf), count)

            changed = pruned | grown
            mask ^= changed
            self.ever_active[name] |= mask
            if optimizer is not None:
                _reset_state(optimizer, weight, changed)

            self.pruned += int(pruned.sum())
            self.regrown += int(grown.sum())

        self._factors = None
        self.apply()

    def state_dict(self) -> dict:
        """Return copies of the masks, of the weights that were ever active, and of the generator's state."""
        return dict(
            masks={name: mask.cpu().clone() for name, mask in self.masks.items()},
            ever_active={name: mask.cpu().clone() for name, mask in self.ever_active.items()},
            generator=self.generator.get_state(),
        )

    def load_state_dict(self, state: Mapping) -> None:
        """Continue with the masks of a checkpoint.

        Raises:
            ValueError: the masks are those of other layers or shapes.
        """
        ours, theirs = _shapes(self.masks), _shapes(state['masks'])
        different = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
        if different:
            raise ValueError(f'the masks of the checkpoint are of other layers: {first_few(different, LAYERS_SHOWN)}')

        for name, weight in self.parameters.items():
            self.masks[name] = state['masks'][name].to(weight.device, copy=True)
            self.ever_active[name] = state['ever_active'][name].to(weight.device, copy=True)

        self.generator.set_state(state['generator'].cpu())
        self._factors = None

    def _as_factors(self, weights: list[Tensor]) -> list[Tensor]:
        """Return the masks in the dtype of ``weights``: all products are then one kernel, without a synchronisation."""
        first = self._factors[0] if self._factors else None
        if first is None or (first.dtype, first.device) != (weights[0].dtype, weights[0].device):
            self._factors = [mask.to(weight) for mask, weight in zip(self.masks.values(), weights)]

        return self._factors

    def _drawn(self, weight: Tensor, density: float | None) -> Tensor:
        count = max(round(_checked(density) * weight.numel()), 1)
        chosen = torch.randperm(weight.numel(), generator=self.generator)[:count]
        mask = torch.zeros(weight.numel(), dtype=torch.bool)
        mask[chosen] = True

        return mask.view(weight.shape).to(weight.device)


def _checked(density: float | None) -> float:
    if density is None or not 0 < density <= 1:
        raise ValueError(f'density must be in (0, 1], got {density!r}')

    return density


def _scaled(raw: Mapping[str, float], parameters: Mapping[str, Tensor], density: float) -> dict[str, float]:
    """Return ``raw`` scaled to a mean of ``density`` over all weights; layers that would exceed 1 are dense."""
    sizes = {name: weight.numel() for name, weight in parameters.items()}
    wanted = density * sum(sizes.values())

    # A layer that turns dense raises the scale of the others, so more may follow.
    densities = {}
    while True:
        others = [name for name in raw if name not in densities]
        if not others:
            return densities

        active = wanted - sum(sizes[name] for name in densities)
        scale = active / sum(raw[name] * sizes[name] for name in others)
        dense = [name for name in others if scale * raw[name] > 1]
        if not dense:
            return densities | {name: scale * raw[name] for name in others}

        densities |= dict.fromkeys(dense, 1.0)


def _reset_state(optimizer: torch.optim.Optimizer, weight: nn.Parameter, changed: Tensor) -> None:
    for value in optimizer.state.get(weight, {}).values():
        if isinstance(value, Tensor) and value.shape == weight.shape:
            value.masked_fill_(changed, 0)


def _shapes(masks: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(mask.shape) for name, mask in masks.items()}


def _share(masks: Mapping[str, Tensor]) -> float:
    active = sum(int(mask.sum()) for mask in masks.values())

    return active / sum(mask.numel() for mask in masks.values())


def _smallest(values: Tensor, count: int) -> Tensor:
    """Return a mask of the ``count`` smallest of ``values``."""
    mask = torch.zeros(values.numel(), dtype=torch.bool, device=values.device)
    mask[torch.topk(values.flatten(), count, largest=False, sorted=False).indices] = True

    return mask.view(values.shape)
