"""Evaluation that overwrites what nobody else needs: fetching fresh memory for a large map costs more than the work.

On one map of 32 MiB a batch norm took 10.8 ms into fresh memory and 0.7 ms in place, GELU 13.2 and 4.3 (two cores).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn

from ..ops._torch_internals import gelu_, is_recorded, is_transformed

_allowed = ContextVar('allowed', default=True)


def may_overwrite(x: Tensor) -> bool:
    """Return whether a map that has just been computed on a CPU may be overwritten: no gradient is going to need it."""
    if torch.is_grad_enabled() or is_recorded() or is_transformed():
        return False

    # Fake tensors and their like are instances of subclasses.
    return type(x) is Tensor and x.device.type == 'cpu' and _allowed.get()


@contextmanager
def forbid_overwriting() -> Iterator[None]:
    """Let :func:`may_overwrite` answer no."""
    token = _allowed.set(False)
    try:
        yield
    finally:
        _allowed.reset(token)


def normalize(x: Tensor, norm: nn.BatchNorm2d | nn.SyncBatchNorm) -> Tensor:
    """Return ``norm(x)`` of a map ``[N, C, H, W]`` that nobody else holds."""
    if norm.training or not may_overwrite(x) or x.dtype != norm.weight.dtype:
        return norm(x)

    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        return norm(x)

    scale = norm.weight * torch.rsqrt(variance + norm.eps)
    shift = norm.bias - mean * scale
    return torch.addcmul(shift.view(-1, 1, 1), x, scale.view(-1, 1, 1), out=x)


class GELU(nn.GELU):
    """``nn.GELU`` of what nobody else holds, such as the output of a linear layer.

    Example:
        >>> import torch
        >>> from lkdense.layers import GELU
        >>> x = torch.tensor([0.0, 10.0])
        >>> with torch.no_grad():
        ...     y = GELU()(x)
        >>> y, y is x
        (tensor([ 0., 10.]), True)
    """

    def forward(self, x: Tensor) -> Tensor:
        """Apply the function to each value."""
        return gelu_(x, self.approximate) if may_overwrite(x) else super().forward(x)
