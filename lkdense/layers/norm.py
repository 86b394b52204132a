"""Normalization over the channels of feature maps."""

import torch.nn.functional as F
from torch import Tensor, nn


class LayerNorm2d(nn.LayerNorm):
    """Layer normalization of every pixel over its channels: ``[N, C, H, W]`` to the same shape.

    Example:
        >>> import torch
        >>> from lkdense.layers import LayerNorm2d
        >>> LayerNorm2d(2)(torch.tensor([3.0, 5.0]).view(1, 2, 1, 1)).flatten()
        tensor([-1.0000,  1.0000], grad_fn=<ViewBackward0>)
    """

    def __init__(self, channels: int, eps: float = 1e-6):
        super().__init__(channels, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        """Normalize ``[N, C, H, W]``."""
        x = F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)
