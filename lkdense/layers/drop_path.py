"""Stochastic depth. "Deep Networks with Stochastic Depth", ECCV 2016, https://arxiv.org/abs/1603.09382."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class DropPath(nn.Module):
    """Zero whole samples of ``[N, ...]`` with probability ``rate`` in training and scale up the rest.

    Raises:
        ValueError: ``rate`` outside [0, 1).

    Example:
        >>> import torch
        >>> from lkdense.layers import DropPath
        >>> sorted(DropPath(0.5)(torch.ones(1000, 1)).unique().tolist())
        [0.0, 2.0]
    """

    def __init__(self, rate: float):
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f'the drop path rate must be in [0, 1), got {rate}')
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` with some samples dropped."""
        if self.rate == 0 or not self.training:
            return x

        one_per_sample = (x.shape[0],) + (1,) * (x.dim() - 1)
        mask = torch.empty(one_per_sample, dtype=x.dtype, device=x.device)
        return x * mask.bernoulli_(1 - self.rate).div_(1 - self.rate)

    def extra_repr(self) -> str:
        """Show the rate."""
        return f'rate={self.rate:.3f}'


def drop_path_rates(last: float, depths: Sequence[int]) -> list[list[float]]:
    """Return a rate for every block, stage by stage, growing linearly from 0 at the first block to ``last``.

    Example:
        >>> from lkdense.layers import drop_path_rates
        >>> drop_path_rates(0.5, (2, 4))
        [[0.0, 0.1], [0.2, 0.3, 0.4, 0.5]]
    """
    blocks = sum(depths)
    rates = iter([last * block / max(blocks - 1, 1) for block in range(blocks)])
    return [[next(rates) for _ in range(depth)] for depth in depths]
