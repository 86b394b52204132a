"""Global response normalization (GRN) and the projection after it, because they merge.

"ConvNeXt V2: Co-designing and Scaling ConvNets with Masked Autoencoders", CVPR 2023, https://arxiv.org/abs/2301.00808
"""

import torch
from torch import Tensor, nn

from .pointwise import PointwiseLinear
from .reparam import running_statistics

EPS = 1e-6


class GRNProjection(nn.Module):
    """Global response normalization, a linear layer and batch normalization: ``[N, H, W, D]`` to ``[N, H, W, C]``.

    Args:
        hidden: D.
        channels: C.
        deploy: build the deployed form. It has neither the shift of the first norm nor the second norm; the linear
            layer has a bias in their place.

    Example:
        >>> import torch
        >>> from lkdense.layers import GRNProjection
        >>> layer, x = GRNProjection(8, 2).eval(), torch.randn(1, 4, 4, 8)
        >>> layer(x).shape
        torch.Size([1, 4, 4, 2])
        >>> torch.allclose(layer.merged()(x), layer(x), atol=1e-5)
        True
    """

    def __init__(self, hidden: int, channels: int, deploy: bool = False):
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1, 1, 1, hidden))
        self.beta = None if deploy else nn.Parameter(torch.zeros(1, 1, 1, hidden))
        self.linear = PointwiseLinear(hidden, channels, bias=deploy)
        self.norm = None if deploy else nn.SyncBatchNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Normalize by the strength of each channel over the image, then project."""
        strength = torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True)
        x = x * (1 + self.gamma * (strength / (strength.mean(-1, keepdim=True) + EPS)))
        if self.norm is None or self.beta is None:
            return self.linear(x)

        projected = self.linear(x + self.beta).permute(0, 3, 1, 2)
        return self.norm(projected).permute(0, 2, 3, 1)

    def merged(self) -> 'GRNProjection':
        """Return the deployed form, which equals this layer in eval mode."""
        if self.norm is None or self.beta is None:
            return self

        mean, variance = running_statistics(self.norm)
        scale = self.norm.weight / torch.sqrt(variance + self.norm.eps)
        shift = self.linear.weight @ self.beta.flatten() - mean

        merged = GRNProjection(self.linear.in_features, self.linear.out_features, deploy=True).to(self.gamma)
        merged.gamma.data.copy_(self.gamma)
        merged.linear.weight.data.copy_(self.linear.weight * scale[:, None])
        merged.linear.bias.data.copy_(self.norm.bias + shift * scale)
        return merged
