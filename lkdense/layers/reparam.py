"""Structural re-parameterization: train several linear branches, deploy the one convolution they add up to.

"RepVGG: Making VGG-style ConvNets Great Again", CVPR 2021, https://arxiv.org/abs/2101.03697.
A layer that can be merged is :class:`Mergeable`.
"""

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from ..ops._torch_internals import has_hooks
from .in_place import forbid_overwriting, may_overwrite

BatchNorm = nn.BatchNorm2d | nn.SyncBatchNorm
Conv = TypeVar('Conv', bound=nn.Conv2d)


@runtime_checkable
class Mergeable(Protocol):
    """A layer that trains as several and can be deployed as one.

    Example:
        >>> from torch import nn
        >>> from lkdense.layers import ConvNorm, Mergeable
        >>> isinstance(ConvNorm(nn.Conv2d(3, 8, 1)), Mergeable), isinstance(nn.Conv2d(3, 8, 1), Mergeable)
        (True, False)
    """

    def merged(self) -> nn.Module:
        """Return the deployed form, which equals this layer in eval mode; the layer itself stays as it was."""
        ...


def running_statistics(norm: BatchNorm) -> tuple[Tensor, Tensor]:
    """Return the running mean and variance of a norm.

    Raises:
        ValueError: the norm keeps none, so that it normalizes each batch by its own and cannot be merged.
    """
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError('a norm must have running statistics to be merged, got one with track_running_stats=False')
    return norm.running_mean, norm.running_var


def fuse_conv_norm(conv: Conv, norm: BatchNorm) -> Conv:
    """Return a convolution, of ``conv``'s class and with a bias, that equals ``norm(conv(x))`` in eval mode."""
    mean, variance = running_statistics(norm)
    scale = norm.weight / torch.sqrt(variance + norm.eps)
    bias = -mean if conv.bias is None else conv.bias - mean

    fused = copy.deepcopy(conv)
    fused.weight = nn.Parameter((conv.weight * scale.view(-1, 1, 1, 1)).detach())
    fused.bias = nn.Parameter((norm.bias + bias * scale).detach())
    return fused


def pad_kernel(weight: Tensor, size: Sequence[int]) -> Tensor:
    """Pad ``weight`` ``[O, I, kh, kw]`` with zeros to (height, width) ``size``, keeping its centre.

    Raises:
        ValueError: ``size`` is smaller than the kernel, or the two do not share a centre, as odd and even sizes do not.

    Example:
        >>> import torch
        >>> from lkdense.layers import pad_kernel
        >>> pad_kernel(torch.ones(1, 1, 1, 3), (3, 5))
        tensor([[[[0., 0., 0., 0., 0.],
                  [0., 1., 1., 1., 0.],
                  [0., 0., 0., 0., 0.]]]])
    """
    rows, columns = size[0] - weight.shape[2], size[1] - weight.shape[3]
    if rows < 0 or columns < 0 or rows % 2 or columns % 2:
        raise ValueError(f'a kernel of {tuple(weight.shape[2:])} cannot be centred in one of {tuple(size)}')
    return F.pad(weight, (columns // 2, columns // 2, rows // 2, rows // 2))


def dilate_kernel(weight: Tensor, dilation: int) -> Tensor:
    """Return the dense kernel that equals ``weight`` ``[O, I, kh, kw]`` at a dilation: zeros between its taps.

    Example:
        >>> import torch
        >>> from lkdense.layers import dilate_kernel
        >>> dilate_kernel(torch.ones(1, 1, 1, 3), 2)
        tensor([[[[1., 0., 1., 0., 1.]]]])
    """
    rows, columns = ((size - 1) * dilation + 1 for size in weight.shape[2:])
    dense = weight.new_zeros(*weight.shape[:2], rows, columns)
    dense[..., ::dilation, ::dilation] = weight
    return dense


def add_biases(conv: nn.Conv2d, other: nn.Conv2d) -> Tensor | None:
    """Return the bias of the sum of two convolutions, None where neither has one."""
    if conv.bias is None or other.bias is None:
        return other.bias if conv.bias is None else conv.bias
    return conv.bias + other.bias


def add_kernel(conv: Conv, other: nn.Conv2d) -> Conv:
    """Return ``conv`` with the smaller or dilated, centred kernel of ``other`` added: their sum as one convolution."""
    total = copy.deepcopy(conv)
    dense = dilate_kernel(other.weight, other.dilation[0])
    total.weight = nn.Parameter((conv.weight + pad_kernel(dense, conv.weight.shape[2:])).detach())
    bias = add_biases(conv, other)
    total.bias = None if bias is None else nn.Parameter(bias.detach())
    return total


class CachedMerge(NamedTuple):
    """A merged layer, and what it was computed from."""

    settings: list[tuple[Any, Any]]
    state: list[Tensor]
    layer: nn.Module


class Branches(nn.Module):
    """Parallel linear branches, which on a CPU in evaluation without gradients run as the one layer they merge into.

    On a GPU they do not, because comparing the weights with those of the last call would wait for the GPU. A subclass
    has ``add_up(x)`` and ``merged()``. The merged layer is kept as long as the weights and statistics keep their
    values, and is no part of the state.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from lkdense.layers import Branches, ConvNorm
        >>> class Doubled(Branches):
        ...     def __init__(self, conv):
        ...         super().__init__()
        ...         self.conv = conv
        ...     def add_up(self, x):
        ...         return self.conv(x) + self.conv(x)
        ...     def merged(self):
        ...         single = nn.Conv2d(1, 1, 1)
        ...         single.load_state_dict({key: 2 * value for key, value in self.conv.state_dict().items()})
        ...         return single
        >>> layer, x = Doubled(nn.Conv2d(1, 1, 1)).eval(), torch.ones(1, 1, 2, 2)
        >>> with torch.no_grad():
        ...     torch.allclose(layer(x), layer.add_up(x))
        True
    """

    # A subclass has it if a norm comes after it, see ConvNorm.
    out_channels: int

    def __init__(self):
        super().__init__()
        self._cache: CachedMerge | None = None

    def add_up(self, x: Tensor) -> Tensor:
        """Return the sum of the branches."""
        raise NotImplementedError

    def merged(self) -> nn.Module:
        """Return the one layer that equals this one in eval mode."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Add up the branches."""
        # Merging pays only in evaluation without gradients, which is when maps may be overwritten. A parametrized
        # weight is recomputed on every access, so it cannot be compared.
        if not may_overwrite(x) or any(part.training or is_parametrized(part) for part in self.modules()):
            return self.add_up(x)

        # A hook may look at a branch or change it, and pruning is done by hooks. So each branch has to run.
        if has_hooks(self):
            with forbid_overwriting():
                return self.add_up(x)

        return self._merge_or_reuse()(x)

    def _merge_or_reuse(self) -> nn.Module:
        """Return the merged layer, which is computed anew where a weight, a statistic or a setting has changed."""
        settings = [(getattr(part, 'eps', None), getattr(part, 'backend', None)) for part in self.modules()]
        state = [*self.parameters(), *self.buffers()]
        cache = self._cache
        # The state is compared by value: code that writes through `.data`, as averaging of weights does, leaves no
        # other trace.
        if cache is not None and cache.settings == settings and all(map(_is_same, cache.state, state)):
            return cache.layer

        layer = self.merged().eval().requires_grad_(False)
        copies = [tensor.detach().clone() for tensor in state]
        self._cache = CachedMerge(settings, copies, layer)
        return layer

    def train(self, mode: bool = True) -> 'Branches':
        """Set the mode; training lets go of the merged layer."""
        if mode:
            self._cache = None
        return super().train(mode)

    def __getstate__(self) -> dict:
        return {**self.__dict__, '_cache': None}


def _is_same(before: Tensor, now: Tensor) -> bool:
    return before.device == now.device and before.dtype == now.dtype and torch.equal(before, now)


def merge_branches(module: nn.Module) -> None:
    """Replace, in place and at any depth below ``module``, every :class:`Mergeable` layer by its deployed form.

    Example:
        >>> from torch import nn
        >>> from lkdense.layers import SquareLargeKernel, merge_branches
        >>> net = nn.Sequential(SquareLargeKernel(4, 13, 5), nn.ReLU())
        >>> merge_branches(net)
        >>> net[0]
        DepthwiseConv2d(4, 4, kernel_size=(13, 13), stride=(1, 1), padding=(6, 6), groups=4)
    """
    for name, child in list(module.named_children()):
        if isinstance(child, Mergeable):
            setattr(module, name, child.merged().train(child.training))
        else:
            merge_branches(child)
