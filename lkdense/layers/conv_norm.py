"""Convolution and batch normalization as one layer, because they merge into one."""

from torch import Tensor, nn

from .in_place import normalized
from .reparam import fuse_conv_norm


class ConvNorm(nn.Module):
    """A convolution without bias, then batch normalization: ``[N, C, H, W]`` to what ``conv`` gives.

    The norm is a SyncBatchNorm, as in the authors' code; on one process it is the same as BatchNorm2d.

    Args:
        conv: a convolution, or a layer with ``out_channels`` whose ``merged()`` is one.
    """

    def __init__(self, conv: nn.Module):
        super().__init__()
        self.conv = conv
        self.norm = nn.SyncBatchNorm(conv.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and normalize."""
        return normalized(self.conv(x), self.norm)

    def merged(self) -> nn.Conv2d:
        """Return one convolution with a bias that equals this layer in eval mode."""
        conv = self.conv.merged() if hasattr(self.conv, 'merged') else self.conv
        return fuse_conv_norm(conv, self.norm)
