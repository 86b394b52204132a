"""Squeeze and excitation. "Squeeze-and-Excitation Networks", CVPR 2018, https://arxiv.org/abs/1709.01507."""

from torch import Tensor, nn


class SqueezeExcitation(nn.Module):
    """Weigh each channel by the means of all channels: ``[N, C, H, W]`` to the same shape.

    Args:
        channels: C.
        hidden: width between the two pointwise convolutions.

    Example:
        >>> import torch
        >>> from lkdense.layers import SqueezeExcitation
        >>> SqueezeExcitation(8, 2)(torch.randn(1, 8, 4, 4)).shape
        torch.Size([1, 8, 4, 4])
    """

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.down = nn.Conv2d(channels, hidden, 1)
        self.up = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Weigh the channels."""
        mean = x.mean((2, 3), keepdim=True)
        return x * self.up(self.down(mean).relu()).sigmoid()
