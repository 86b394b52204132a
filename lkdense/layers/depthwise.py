"""Depthwise convolution as a module."""

from collections.abc import Sequence

from torch import Tensor, nn

from ..ops import depthwise_conv2d

KernelSize = int | Sequence[int]


def kernel_pair(kernel_size: KernelSize) -> tuple[int, int]:
    """Return (height, width) of a kernel size that is an odd int or a pair of them.

    Raises:
        ValueError: anything else.

    Example:
        >>> from lkdense.layers import kernel_pair
        >>> kernel_pair(7), kernel_pair([51, 5])
        ((7, 7), (51, 5))
    """
    pair = tuple(kernel_size) if isinstance(kernel_size, Sequence) else (kernel_size, kernel_size)
    if len(pair) != 2 or not all(isinstance(size, int) and size > 0 and size % 2 == 1 for size in pair):
        raise ValueError(f'a kernel size must be an odd int or a (height, width) pair of them, got {kernel_size!r}')
    return pair


class DepthwiseConv2d(nn.Conv2d):
    """``nn.Conv2d`` with one filter a channel, stride 1 and 'same' padding: ``[N, C, H, W]`` to the same shape.

    It has the attributes and state-dict keys of ``nn.Conv2d``, so whatever knows that class (counters, exporters,
    pruning) knows this one; only the computation goes through :func:`lkdense.ops.depthwise_conv2d`.

    Args:
        channels: C.
        kernel_size: odd, an int or (height, width).
        bias: whether to add a bias.
        backend: as in :func:`lkdense.ops.depthwise_conv2d`.

    Example:
        >>> import torch
        >>> from lkdense.layers import DepthwiseConv2d
        >>> DepthwiseConv2d(4, (51, 5))(torch.randn(1, 4, 8, 8)).shape
        torch.Size([1, 4, 8, 8])
    """

    def __init__(self, channels: int, kernel_size: KernelSize, bias: bool = True, backend: str | None = None):
        height, width = kernel_pair(kernel_size)
        padding = (height // 2, width // 2)
        super().__init__(channels, channels, (height, width), padding=padding, groups=channels, bias=bias)
        self.backend = backend

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``[N, C, H, W]``."""
        return depthwise_conv2d(x, self.weight, self.bias, backend=self.backend)
