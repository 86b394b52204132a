"""Large depthwise kernels that train: with a parallel small kernel (RepLKNet), or as two strips (SLaK).

"Scaling Up Your Kernels to 31x31: Revisiting Large Kernel Design in CNNs", CVPR 2022, https://arxiv.org/abs/2203.06717
"More ConvNets in the 2020s: Scaling up Kernels Beyond 51x51 using Sparsity", ICLR 2023, https://arxiv.org/abs/2207.03620
"""

from torch import Tensor, nn

from ..ops import strips_conv2d
from .conv_norm import ConvNorm
from .depthwise import DepthwiseConv2d, KernelSize, kernel_pair
from .reparam import add_kernel


def depthwise_norm(channels: int, kernel_size: KernelSize) -> ConvNorm:
    """Return a depthwise convolution followed by batch normalization."""
    return ConvNorm(DepthwiseConv2d(channels, kernel_size, bias=False))


class SquareLargeKernel(nn.Module):
    """One large kernel and, beside it, a small one that helps it to train: ``[N, C, H, W]`` to the same shape.

    Args:
        channels: C.
        kernel_size: odd, an int or (height, width).
        small_kernel: odd and smaller; None for no parallel kernel.

    Raises:
        ValueError: a small kernel that is not smaller.
    """

    def __init__(self, channels: int, kernel_size: KernelSize, small_kernel: int | None):
        super().__init__()
        self.large = depthwise_norm(channels, kernel_size)
        self.small = _small_branch(channels, kernel_size, small_kernel)

    def forward(self, x: Tensor) -> Tensor:
        """Add up the branches."""
        return self.large(x) if self.small is None else self.large(x) + self.small(x)

    def merged(self) -> DepthwiseConv2d:
        """Return the one depthwise convolution that equals this layer in eval mode."""
        large = self.large.merged()
        return large if self.small is None else add_kernel(large, self.small.merged())


class StripLargeKernel(nn.Module):
    """A K x K kernel as a K x N strip plus an N x K strip plus an N x N kernel: ``[N, C, H, W]`` to the same shape.

    Args:
        channels: C.
        kernel_size: K, odd, an int or (height, width).
        small_kernel: N, odd and smaller than K.

    Raises:
        ValueError: a small kernel that is missing or not smaller.
    """

    def __init__(self, channels: int, kernel_size: KernelSize, small_kernel: int):
        super().__init__()
        if small_kernel is None:
            raise ValueError('strips need a small_kernel, their short side; got None')
        height, width = kernel_pair(kernel_size)
        self.vertical = depthwise_norm(channels, (height, small_kernel))
        self.horizontal = depthwise_norm(channels, (small_kernel, width))
        self.small = _small_branch(channels, kernel_size, small_kernel)

    def forward(self, x: Tensor) -> Tensor:
        """Add up the branches."""
        return self.vertical(x) + self.horizontal(x) + self.small(x)

    def merged(self) -> 'StripPair':
        """Return two strips that equal this layer in eval mode; norms and small kernel are folded into them."""
        return StripPair(add_kernel(self.vertical.merged(), self.small.merged()), self.horizontal.merged())


class StripPair(nn.Module):
    """The deployed form of :class:`StripLargeKernel`: ``[N, C, H, W]`` to the same shape.

    It stays two strips, because a direct convolution with their K x K sum costs K / 2N times as many multiplications;
    where products of spectra are cheaper, the sum is formed when it runs.
    """

    def __init__(self, vertical: DepthwiseConv2d, horizontal: DepthwiseConv2d):
        super().__init__()
        self.vertical = vertical
        self.horizontal = horizontal

    def forward(self, x: Tensor) -> Tensor:
        """Add up the strips."""
        vertical, horizontal = self.vertical, self.horizontal
        bias = vertical.bias + horizontal.bias
        return strips_conv2d(x, vertical.weight, horizontal.weight, bias, backend=vertical.backend)


def _small_branch(channels: int, kernel_size: KernelSize, small_kernel: int | None) -> ConvNorm | None:
    if small_kernel is None:
        return None
    if max(kernel_pair(small_kernel)) >= min(kernel_pair(kernel_size)):
        raise ValueError(f'small_kernel must be smaller than the kernel {kernel_size}, got {small_kernel}')
    return depthwise_norm(channels, small_kernel)
