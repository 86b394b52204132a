"""Structural re-parameterization: train several linear branches, deploy the one convolution they add up to.

"RepVGG: Making VGG-style ConvNets Great Again", CVPR 2021, https://arxiv.org/abs/2101.03697.
A layer that can be merged has ``merged() -> nn.Module``, which leaves the layer itself as it was.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from .in_place import has_hooks, may_overwrite, nothing_overwritten


def fuse_conv_norm(conv: nn.Conv2d, norm: nn.modules.batchnorm._BatchNorm) -> nn.Conv2d:
    """Return a convolution, of ``conv``'s class and with a bias, that equals ``norm(conv(x))`` in eval mode."""
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    bias = -norm.running_mean if conv.bias is None else conv.bias - norm.running_mean
    fused = copy.deepcopy(conv)
    fused.weight = nn.Parameter((conv.weight * scale.view(-1, 1, 1, 1)).detach())
    fused.bias = nn.Parameter((norm.bias + bias * scale).detach())
    return fused


def pad_kernel(weight: Tensor, size: tuple[int, int]) -> Tensor:
    """Pad ``weight`` ``[O, I, kh, kw]`` with zeros to (height, width) ``size``, keeping its centre.

    Raises:
        ValueError: ``size`` smaller than the kernel, or not odd by odd as it is.
    """
    rows, columns = size[0] - weight.shape[2], size[1] - weight.shape[3]
    if rows < 0 or columns < 0 or rows % 2 or columns % 2:
        raise ValueError(f'a kernel of {tuple(weight.shape[2:])} cannot be centred in one of {tuple(size)}')
    return F.pad(weight, (columns // 2, columns // 2, rows // 2, rows // 2))


def dilate_kernel(weight: Tensor, dilation: int) -> Tensor:
    """Return the dense kernel that equals ``weight`` ``[O, I, kh, kw]`` at a dilation: zeros between its taps."""
    rows, columns = ((size - 1) * dilation + 1 for size in weight.shape[2:])
    dense = weight.new_zeros(*weight.shape[:2], rows, columns)
    dense[..., ::dilation, ::dilation] = weight
    return dense


def add_kernel(conv: nn.Conv2d, other: nn.Conv2d) -> nn.Conv2d:
    """Return ``conv`` with the smaller or dilated, centred kernel of ``other`` added: their sum as one convolution."""
    total = copy.deepcopy(conv)
    dense = dilate_kernel(other.weight, other.dilation[0])
    total.weight = nn.Parameter((conv.weight + pad_kernel(dense, conv.weight.shape[2:])).detach())
    total.bias = nn.Parameter((conv.bias + other.bias).detach())
    return total


class Branches(nn.Module):
    """Parallel linear branches, which on a CPU in evaluation without gradients run as the one layer they merge into.

    On a GPU they do not: to see whether the weights are still the same would wait for it. A subclass has ``add_up(x)``
    and ``merged()``. What it merges into is kept as long as the weights and statistics keep their values, and is no
    part of the state.
    """

    def __init__(self):
        super().__init__()
        self._kept: tuple[list, list[Tensor], nn.Module] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Add up the branches."""
        # where maps may be overwritten, nobody asks for gradients either
        if not may_overwrite(x) or any(part.training or is_parametrized(part) for part in self.modules()):
            return self.add_up(x)
        # among which are those that prune
        if has_hooks(self):
            with nothing_overwritten():
                return self.add_up(x)
        settings = [(getattr(part, 'eps', None), getattr(part, 'backend', None)) for part in self.modules()]
        # by value: what writes through `.data`, as averaging of weights does, leaves no other trace
        state = [*self.parameters(), *self.buffers()]
        if self._kept is None or self._kept[0] != settings or not all(map(_same, self._kept[1], state)):
            merged = self.merged().eval().requires_grad_(False)
            self._kept = settings, [tensor.detach().clone() for tensor in state], merged
        return self._kept[2](x)

    def train(self, mode: bool = True) -> 'Branches':
        """Set the mode; in training nothing merged is kept."""
        if mode:
            self._kept = None
        return super().train(mode)

    def __getstate__(self) -> dict:
        return {**self.__dict__, '_kept': None}


def _same(kept: Tensor, now: Tensor) -> bool:
    return kept.device == now.device and kept.dtype == now.dtype and torch.equal(kept, now)


def merge_branches(module: nn.Module) -> None:
    """Replace, in place and at any depth below ``module``, every layer that has ``merged()`` by what it returns."""
    for name, child in list(module.named_children()):
        if hasattr(child, 'merged'):
            setattr(module, name, child.merged().train(child.training))
        else:
            merge_branches(child)
