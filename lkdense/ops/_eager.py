"""PyTorch's own convolution: it takes everything, and every other backend is measured against it."""

import torch.nn.functional as F
from torch import Tensor


def refusal(x: Tensor, weight: Tensor) -> str | None:
    """Return why these tensors cannot be run; there is never a reason here."""
    return None


def run(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve ``x`` ``[N, C, H, W]`` with ``weight`` ``[C, 1, kh, kw]``."""
    padding = (weight.shape[2] // 2, weight.shape[3] // 2)
    return F.conv2d(x, weight, bias, padding=padding, groups=x.shape[1])
