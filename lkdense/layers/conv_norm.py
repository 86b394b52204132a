"""Convolution and batch normalization as one layer, because they merge into one."""

from torch import Tensor, nn

from .in_place import normalize
from .reparam import Branches, fuse_conv_norm


class ConvNorm(nn.Module):
    """A convolution without bias, then batch normalization: ``[N, C, H, W]`` to what ``conv`` gives.

    The norm is a SyncBatchNorm, as in the authors' code; on one process it is the same as BatchNorm2d.

    Args:
        conv: a convolution, or branches with ``out_channels`` that merge into one.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from lkdense.layers import ConvNorm
        >>> layer = ConvNorm(nn.Conv2d(3, 8, 1, bias=False)).eval()
        >>> layer.merged()
        Conv2d(3, 8, kernel_size=(1, 1), stride=(1, 1))
        >>> x = torch.randn(2, 3, 4, 4)
        >>> torch.allclose(layer.merged()(x), layer(x), atol=1e-5)
        True
    """

    def __init__(self, conv: nn.Conv2d | Branches):
        super().__init__()
        self.conv = conv
        self.norm = nn.SyncBatchNorm(conv.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and normalize."""
        return normalize(self.conv(x), self.norm)

    def merged(self) -> nn.Conv2d:
        """Return one convolution with a bias that equals this layer in eval mode.

        Raises:
            TypeError: branches that merge into something else than a convolution.
        """
        conv = self.conv.merged() if isinstance(self.conv, Branches) else self.conv
        if not isinstance(conv, nn.Conv2d):
            raise TypeError(f'only a convolution merges with its norm, got {type(conv).__name__}')
        return fuse_conv_norm(conv, self.norm)
