"""Dynamic sparse training: which weights of a layer are zero, and how that moves while it trains.

"More ConvNets in the 2020s: Scaling up Kernels Beyond 51x51 using Sparsity" (SLaK), ICLR 2023,
https://arxiv.org/abs/2207.03620. Densities of layers by SNIP, https://arxiv.org/abs/1810.02340, or by the Erdos-Renyi
kernel rule of "Rigging the Lottery" (RigL), https://arxiv.org/abs/1911.11134, as is regrowth by gradient.
"""

import math
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

GROWTH_RULES = ('random', 'gradient', 'momentum')


def sparse_parameters(
    model: nn.Module,
    kinds: Iterable[type] = (nn.Conv2d, nn.Linear),
    keep: Callable[[str, nn.Module], bool] | None = None,
) -> dict[str, nn.Parameter]:
    """Return the weights of all layers of some types, by their names in ``model``.

    Args:
        model: any module.
        kinds: types of layers.
        keep: ``(name, layer)`` to whether it is one of them.

    Raises:
        ValueError: there is no such layer.
    """
    chosen = {
        f'{name}.weight' if name else 'weight': layer.weight
        for name, layer in model.named_modules()
        if isinstance(layer, tuple(kinds)) and (keep is None or keep(name, layer))
    }
    if not chosen:
        raise ValueError(f'no layer of {type(model).__name__} is chosen for sparse training')

    return chosen


def uniform(parameters: Mapping[str, Tensor], density: float) -> dict[str, float]:
    """Return the same density for every layer."""
    return dict.fromkeys(parameters, _density(density))


def erdos_renyi_kernel(parameters: Mapping[str, Tensor], density: float) -> dict[str, float]:
    """Return densities that grow with the sum of a layer's dimensions over their product: small layers stay denser.

    Their mean, over all weights, is ``density``.
    """
    raw = {name: sum(weight.shape) / weight.numel() for name, weight in parameters.items()}
    return _scaled(raw, parameters, _density(density))


def snip(scores: Mapping[str, Tensor], density: float) -> dict[str, float]:
    """Return the share of each layer among the weights of the highest scores, ``|weight x gradient|`` in SNIP.

    A layer keeps one weight at least. Among equal scores, zeros above all, the choice is arbitrary.

    Raises:
        ValueError: scores that are not finite, or all zero.
    """
    every = torch.cat([score.flatten() for score in scores.values()])
    if not (every.isfinite().all() and every.any()):
        raise ValueError('the scores must be finite and not all zero, as where a loss is NaN or reaches no layer')
    kept = torch.zeros(len(every), dtype=torch.bool, device=every.device)
    kept[torch.topk(every, max(round(_density(density) * len(every)), 1)).indices] = True
    shares = kept.split([score.numel() for score in scores.values()])
    return {name: max(int(share.sum()), 1) / len(share) for name, share in zip(scores, shares)}


def from_zeros(parameters: Mapping[str, Tensor]) -> dict[str, float]:
    """Return the densities that a loaded checkpoint has: the shares of weights that are not zero."""
    return {name: weight.count_nonzero().item() / weight.numel() for name, weight in parameters.items()}


def decayed(rate: float, progress: float) -> float:
    """Return a pruning rate that falls by half a cosine from ``rate`` to 0 while ``progress`` goes from 0 to 1."""
    return rate * (1 + math.cos(math.pi * min(max(progress, 0.0), 1.0))) / 2


class SparseMasks:
    """Which weights of some layers may differ from zero: as many at any time, but not always the same.

    Every choice is made on the CPU from one seeded generator and so is the same in all processes that see the same
    weights and gradients.

    Args:
        parameters: the weights by name, as :func:`sparse_parameters` gives them.
        densities: the share of each that may differ from zero, by the same names; by default all that are not zero.
        seed: of the choices made at random.

    Raises:
        ValueError: a density is missing or not in (0, 1].
    """

    def __init__(
        self, parameters: Mapping[str, nn.Parameter], densities: Mapping[str, float] | None = None, seed: int = 0
    ):
        self.parameters = dict(parameters)
        self.generator = torch.Generator().manual_seed(seed)
        if densities is None:
            self.masks = {name: weight.detach() != 0 for name, weight in self.parameters.items()}
        else:
            self.masks = {name: self._drawn(weight, densities.get(name)) for name, weight in self.parameters.items()}

        self.ever_active = {name: mask.clone() for name, mask in self.masks.items()}
        self.pruned = self.regrown = 0  # weights, the last time they moved
        self._factors = None

    @property
    def density(self) -> float:
        """The share of all weights of these layers that may differ from zero."""
        return _share(self.masks)

    @property
    def explored(self) -> float:
        """The share of all weights of these layers that could differ from zero at some time."""
        return _share(self.ever_active)

    @torch.no_grad()
    def apply(self, parameters: Mapping[str, Tensor] | None = None) -> None:
        """Set the other weights to zero, in place: of the layers themselves, or of an average with the same names."""
        weights = list((parameters or self.parameters).values())
        torch._foreach_mul_([weight.data for weight in weights], self._as_factors(weights))

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
            rate: the share of the active weights of a layer to prune.
            growth: ``random``, or those of the largest ``scores``: ``gradient`` or ``momentum``.
            scores: for these two, a tensor of each weight's shape, by name.
            optimizer: whose state of the weights that change is set to zero.

        Raises:
            ValueError: an unknown growth, or no scores for it.
        """
        if growth not in GROWTH_RULES:
            raise ValueError(f'growth must be one of {", ".join(GROWTH_RULES)}, got {growth!r}')
        if growth != 'random' and scores is None:
            raise ValueError(f'growth by {growth} needs scores')

        self.pruned = self.regrown = 0
        for name, weight in self.parameters.items():
            mask = self.masks[name]
            active = int(mask.sum())
            # no more than there is room for elsewhere, so that what is pruned does not come back at once
            count = min(round(rate * active), mask.numel() - active)
            if not count:
                continue

            gone = _smallest(weight.detach().abs().masked_fill(~mask, torch.inf), count)
            wish = torch.rand(mask.shape, generator=self.generator) if growth == 'random' else scores[name].abs()
            grown = _smallest(-wish.to(weight).masked_fill(mask, -torch.inf), count)
            mask ^= gone | grown
            self.ever_active[name] |= mask

            if optimizer is not None:
                for value in optimizer.state.get(weight, {}).values():
                    if isinstance(value, Tensor) and value.shape == weight.shape:
                        value.masked_fill_(gone | grown, 0)

            self.pruned, self.regrown = self.pruned + int(gone.sum()), self.regrown + int(grown.sum())

        self._factors = None
        self.apply()

    def state_dict(self) -> dict:
        """Return masks, what was ever active, and the state of the generator."""
        return dict(
            masks={name: mask.cpu().clone() for name, mask in self.masks.items()},
            ever_active={name: mask.cpu().clone() for name, mask in self.ever_active.items()},
            generator=self.generator.get_state(),
        )

    def load_state_dict(self, state: Mapping) -> None:
        """Take up the masks of a checkpoint.

        Raises:
            ValueError: they are of other layers or shapes.
        """
        ours, theirs = ({name: tuple(m.shape) for name, m in masks.items()} for masks in (self.masks, state['masks']))
        if ours != theirs:
            different = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
            raise ValueError(
                f'the masks of the checkpoint are of other layers, {", ".join(different[:3])} for instance'
            )

        for name, weight in self.parameters.items():
            self.masks[name] = state['masks'][name].to(weight.device, copy=True)
            self.ever_active[name] = state['ever_active'][name].to(weight.device, copy=True)

        self.generator.set_state(state['generator'].cpu())
        self._factors = None

    def _as_factors(self, weights: list[Tensor]) -> list[Tensor]:
        # kept in the dtype of the weights: all products are then one kernel, without a copy or a synchronisation
        first = self._factors and self._factors[0]
        if first is None or (first.dtype, first.device) != (weights[0].dtype, weights[0].device):
            self._factors = [mask.to(weight) for mask, weight in zip(self.masks.values(), weights)]
        return self._factors

    def _drawn(self, weight: Tensor, density: float | None) -> Tensor:
        count = max(round(_density(density) * weight.numel()), 1)
        chosen = torch.randperm(weight.numel(), generator=self.generator)[:count]
        mask = torch.zeros(weight.numel(), dtype=torch.bool)
        mask[chosen] = True
        return mask.view(weight.shape).to(weight.device)


def _density(density: float | None) -> float:
    if density is None or not 0 < density <= 1:
        raise ValueError(f'density must be in (0, 1], got {density!r}')
    return density


def _scaled(raw: Mapping[str, float], parameters: Mapping[str, Tensor], density: float) -> dict[str, float]:
    """Scale ``raw`` so that the mean density is as wanted; layers that would exceed 1 are dense."""
    sizes = {name: weight.numel() for name, weight in parameters.items()}
    dense: set[str] = set()
    while True:
        rest = [name for name in raw if name not in dense]
        wanted = density * sum(sizes.values()) - sum(sizes[name] for name in dense)
        scale = wanted / sum(raw[name] * sizes[name] for name in rest) if rest else 0
        if not (full := {name for name in rest if scale * raw[name] > 1}):
            return {name: 1.0 if name in dense else scale * raw[name] for name in raw}
        dense |= full


def _share(masks: Mapping[str, Tensor]) -> float:
    return sum(int(mask.sum()) for mask in masks.values()) / sum(mask.numel() for mask in masks.values())


def _smallest(values: Tensor, count: int) -> Tensor:
    """Return a mask of the ``count`` smallest of ``values``."""
    mask = torch.zeros(values.numel(), dtype=torch.bool, device=values.device)
    mask[torch.topk(values.flatten(), count, largest=False, sorted=False).indices] = True
    return mask.view(values.shape)
