"""Large depthwise kernels that train: beside a small kernel (RepLKNet), as two strips (SLaK), beside dilated ones.

"Scaling Up Your Kernels to 31x31: Revisiting Large Kernel Design in CNNs", CVPR 2022, https://arxiv.org/abs/2203.06717
"More ConvNets in the 2020s: Scaling up Kernels Beyond 51x51 using Sparsity", ICLR 2023, https://arxiv.org/abs/2207.03620
"UniRepLKNet: A Universal Perception Large-Kernel ConvNet ...", CVPR 2024, https://arxiv.org/abs/2311.15599
"""

from typing import cast

from torch import Tensor, nn

from ..ops import strips_conv2d
from .conv_norm import ConvNorm
from .depthwise import DepthwiseConv2d, KernelSize, kernel_pair
from .reparam import Branches, add_biases, add_kernel

# For each size of a large kernel: (size, dilation) of the kernels beside it, as UniRepLKNet's authors chose them.
DILATED = {
    17: ((5, 1), (9, 2), (3, 4), (3, 5), (3, 7)),
    15: ((5, 1), (7, 2), (3, 3), (3, 5), (3, 7)),
    13: ((5, 1), (7, 2), (3, 3), (3, 4), (3, 5)),
    11: ((5, 1), (5, 2), (3, 3), (3, 4), (3, 5)),
    9: ((5, 1), (5, 2), (3, 3), (3, 4)),
    7: ((5, 1), (3, 2), (3, 3)),
    5: ((3, 1), (3, 2)),
}


def depthwise_norm(channels: int, kernel_size: KernelSize) -> ConvNorm:
    """Return a depthwise convolution followed by batch normalization."""
    return ConvNorm(DepthwiseConv2d(channels, kernel_size, bias=False))


def merge_depthwise_norm(branch: ConvNorm) -> DepthwiseConv2d:
    """Return what a branch that :func:`depthwise_norm` made merges into, which is of the class of its convolution."""
    return cast(DepthwiseConv2d, branch.merged())


class SquareLargeKernel(Branches):
    """One large kernel and, beside it, a small one that helps it to train: ``[N, C, H, W]`` to the same shape.

    Args:
        channels: C.
        kernel_size: odd, an int or (height, width).
        small_kernel: odd and smaller; None for no parallel kernel.

    Raises:
        ValueError: a small kernel that is not smaller.

    Example:
        >>> import torch
        >>> from lkdense.layers import SquareLargeKernel
        >>> layer, x = SquareLargeKernel(4, 13, 5).eval(), torch.randn(1, 4, 16, 16)
        >>> torch.allclose(layer.merged()(x), layer(x), atol=1e-5)
        True
    """

    def __init__(self, channels: int, kernel_size: KernelSize, small_kernel: int | None):
        super().__init__()
        self.large = depthwise_norm(channels, kernel_size)
        self.small = None if small_kernel is None else _small_branch(channels, kernel_size, small_kernel)

    def add_up(self, x: Tensor) -> Tensor:
        """Add up the branches."""
        return self.large(x) if self.small is None else self.large(x) + self.small(x)

    def merged(self) -> DepthwiseConv2d:
        """Return the one depthwise convolution that equals this layer in eval mode."""
        large = merge_depthwise_norm(self.large)
        return large if self.small is None else add_kernel(large, self.small.merged())


class StripLargeKernel(Branches):
    """A K x K kernel as a K x N strip plus an N x K strip plus an N x N kernel: ``[N, C, H, W]`` to the same shape.

    Args:
        channels: C.
        kernel_size: K, odd, an int or (height, width).
        small_kernel: N, odd and smaller than K.

    Raises:
        ValueError: a small kernel that is missing or not smaller.

    Example:
        >>> from lkdense.layers import StripLargeKernel
        >>> StripLargeKernel(4, 51, 5).merged()
        StripPair(
          (vertical): DepthwiseConv2d(4, 4, kernel_size=(51, 5), stride=(1, 1), padding=(25, 2), groups=4)
          (horizontal): DepthwiseConv2d(4, 4, kernel_size=(5, 51), stride=(1, 1), padding=(2, 25), groups=4)
        )
    """

    def __init__(self, channels: int, kernel_size: KernelSize, small_kernel: int):
        super().__init__()
        if small_kernel is None:
            raise ValueError('strips need a small_kernel, their short side; got None')
        height, width = kernel_pair(kernel_size)
        self.vertical = depthwise_norm(channels, (height, small_kernel))
        self.horizontal = depthwise_norm(channels, (small_kernel, width))
        self.small = _small_branch(channels, kernel_size, small_kernel)

    def add_up(self, x: Tensor) -> Tensor:
        """Add up the branches."""
        return self.vertical(x) + self.horizontal(x) + self.small(x)

    def merged(self) -> 'StripPair':
        """Return two strips that equal this layer in eval mode; norms and small kernel are folded into them."""
        vertical = add_kernel(merge_depthwise_norm(self.vertical), self.small.merged())
        return StripPair(vertical, merge_depthwise_norm(self.horizontal))


class StripPair(nn.Module):
    """The deployed form of :class:`StripLargeKernel`: ``[N, C, H, W]`` to the same shape.

    It stays two strips, because a direct convolution with their K x K sum costs K / 2N times as many multiplications;
    where products of spectra are cheaper, the sum is formed when it runs.

    Args:
        vertical: a K x N convolution.
        horizontal: an N x K convolution.

    Example:
        >>> import torch
        >>> from lkdense.layers import DepthwiseConv2d, StripPair
        >>> pair, x = StripPair(DepthwiseConv2d(4, (13, 3)), DepthwiseConv2d(4, (3, 13))), torch.randn(1, 4, 8, 8)
        >>> torch.allclose(pair(x), pair.vertical(x) + pair.horizontal(x), atol=1e-5)
        True
    """

    def __init__(self, vertical: DepthwiseConv2d, horizontal: DepthwiseConv2d):
        super().__init__()
        self.vertical = vertical
        self.horizontal = horizontal

    @property
    def fused_weights(self) -> list[Tensor]:
        """The weights that this layer uses itself, without calling the layers they belong to; counters ask for them."""
        return [self.vertical.weight, self.horizontal.weight]

    def forward(self, x: Tensor) -> Tensor:
        """Add up the strips."""
        vertical, horizontal = self.vertical, self.horizontal
        bias = add_biases(vertical, horizontal)
        return strips_conv2d(x, vertical.weight, horizontal.weight, bias, backend=vertical.backend)


class DilatedLargeKernel(Branches):
    """One large kernel and, beside it, dilated ones within its reach: ``[N, C, H, W]`` to the same shape.

    Args:
        channels: C.
        kernel_size: a key of ``DILATED``.

    Raises:
        ValueError: a size for which the authors give no dilated kernels.

    Example:
        >>> from lkdense.layers import DilatedLargeKernel
        >>> list(DilatedLargeKernel(4, 7).dilated)
        ['k5_d1', 'k3_d2', 'k3_d3']
    """

    def __init__(self, channels: int, kernel_size: int):
        super().__init__()
        if kernel_size not in DILATED:
            raise ValueError(f'dilated kernels are known for {", ".join(map(str, DILATED))}, got {kernel_size!r}')
        self.out_channels = channels
        self.large = depthwise_norm(channels, kernel_size)
        self.dilated = nn.ModuleDict()
        for size, dilation in DILATED[kernel_size]:
            self.dilated[f'k{size}_d{dilation}'] = ConvNorm(_dilated_conv(channels, size, dilation))

    def add_up(self, x: Tensor) -> Tensor:
        """Add up the branches."""
        total = self.large(x)
        for branch in self.dilated.values():
            total = total + branch(x)
        return total

    def merged(self) -> DepthwiseConv2d:
        """Return the one depthwise convolution that equals this layer in eval mode."""
        total = merge_depthwise_norm(self.large)
        for branch in self.dilated.values():
            total = add_kernel(total, cast(ConvNorm, branch).merged())
        return total


def _dilated_conv(channels: int, size: int, dilation: int) -> nn.Conv2d:
    padding = dilation * (size // 2)
    return nn.Conv2d(channels, channels, size, padding=padding, dilation=dilation, groups=channels, bias=False)


def _small_branch(channels: int, kernel_size: KernelSize, small_kernel: int) -> ConvNorm:
    if max(kernel_pair(small_kernel)) >= min(kernel_pair(kernel_size)):
        raise ValueError(f'small_kernel must be smaller than the kernel {kernel_size}, got {small_kernel}')
    return depthwise_norm(channels, small_kernel)
