"""Evaluation that overwrites what nobody else needs: fetching fresh memory for a large map costs more than the work.

On one map of 32 MiB a batch norm took 10.8 ms into fresh memory and 0.7 ms in place, GELU 13.2 and 4.3 (two cores).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn

from ..ops._autograd import transformed

_allowed = ContextVar('allowed', default=True)


def may_overwrite(x: Tensor) -> bool:
    """Return whether a map that has just been computed on a CPU may be overwritten: no gradient is going to need it."""
    if torch.is_grad_enabled() or torch.compiler.is_compiling() or torch.jit.is_tracing() or transformed():
        return False
    # fake tensors and their like are of classes of their own
    return type(x) is Tensor and x.device.type == 'cpu' and _allowed.get()


def has_hooks(module: nn.Module) -> bool:
    """Return whether anything in ``module`` has a forward hook, which may keep a map or change it."""
    return any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())


@contextmanager
def nothing_overwritten() -> Iterator[None]:
    """Let :func:`may_overwrite` answer no."""
    token = _allowed.set(False)
    try:
        yield
    finally:
        _allowed.reset(token)


def normalized(x: Tensor, norm: nn.modules.batchnorm._BatchNorm) -> Tensor:
    """Return ``norm(x)`` of a map ``[N, C, H, W]`` that nobody else holds."""
    if norm.training or not may_overwrite(x) or x.dtype != norm.weight.dtype:
        return norm(x)
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    shift = norm.bias - norm.running_mean * scale
    return torch.addcmul(shift.view(-1, 1, 1), x, scale.view(-1, 1, 1), out=x)


class GELU(nn.GELU):
    """``nn.GELU`` of what nobody else holds, such as the output of a linear layer."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply the function to each value."""
        if may_overwrite(x):
            return torch.ops.aten.gelu_(x, approximate=self.approximate)
        return super().forward(x)
