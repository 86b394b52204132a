"""Evaluation that overwrites what nobody else needs: fetching fresh memory for a large map costs more than the work.

On one map of 32 MiB a batch norm took 10.8 ms into fresh memory and 0.7 ms in place, GELU 13.2 and 4.3 (two cores).
"""

import torch
from torch import Tensor, nn


def may_overwrite(x: Tensor) -> bool:
    """Return whether a map that has just been computed on a CPU may be overwritten: no gradient is going to need it."""
    return x.device.type == 'cpu' and not torch.is_grad_enabled() and not torch.compiler.is_compiling()


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
        return torch.ops.aten.gelu_(x) if may_overwrite(x) else super().forward(x)
