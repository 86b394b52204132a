"""A linear layer on every pixel."""

import torch
from torch import Tensor, nn

from ..ops import linear
from ..ops._torch_internals import is_transformed


class PointwiseLinear(nn.Linear):
    """``nn.Linear`` on the channels of every pixel: ``[N, H, W, C]`` to ``[N, H, W, D]``.

    Example:
        >>> import torch
        >>> from lkdense.layers import PointwiseLinear
        >>> PointwiseLinear(8, 2)(torch.randn(1, 4, 4, 8)).shape
        torch.Size([1, 4, 4, 2])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map the last dimension of ``[N, H, W, C]``."""
        return linear(x, self.weight, self.bias)


class PointwiseConv2d(nn.Conv2d):
    """A 1 x 1 ``nn.Conv2d``, ``[N, C, H, W]`` to ``[N, D, H, W]``, as a linear layer where channels lie together.

    Args:
        in_channels: C.
        out_channels: D.
        bias: whether to add a bias.

    Example:
        >>> import torch
        >>> from lkdense.layers import PointwiseConv2d
        >>> x = torch.randn(1, 8, 4, 4).contiguous(memory_format=torch.channels_last)
        >>> PointwiseConv2d(8, 2)(x).shape
        torch.Size([1, 2, 4, 4])
    """

    def __init__(self, in_channels: int, out_channels: int, bias: bool = True):
        super().__init__(in_channels, out_channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map the channels of ``[N, C, H, W]``."""
        # Under torch.func a tensor cannot tell its memory format.
        if x.device.type != 'cpu' or is_transformed() or not x.is_contiguous(memory_format=torch.channels_last):
            return super().forward(x)
        return linear(x.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)
