"""A linear layer on every pixel."""

import torch.nn.functional as F
from torch import Tensor, nn


class PointwiseLinear(nn.Linear):
    """``nn.Linear`` on the channels of every pixel: ``[N, H, W, C]`` to ``[N, H, W, D]``.

    On a CPU it runs as the 1 x 1 convolution that it equals: oneDNN, which computes that, is up to 1.8 times faster
    than the matrix product of ``nn.Linear`` at the odd widths of SLaK, and as fast elsewhere.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map the last dimension of ``[N, H, W, C]``."""
        if x.device.type != 'cpu':
            return super().forward(x)
        return F.conv2d(x.permute(0, 3, 1, 2), self.weight[:, :, None, None], self.bias).permute(0, 2, 3, 1)
