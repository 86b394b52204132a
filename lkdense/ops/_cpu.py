"""PyTorch's channels-last convolution for the output and the input gradient, spectra for the weight gradient.

On a CPU PyTorch has a fast kernel for large depthwise kernels in the channels-last format alone, and none for the
weight gradient.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ._autograd import register_gradients
from ._spectrum import spectral_weight_gradient


def refusal(x: Tensor, weight: Tensor) -> str | None:
    """Return why these tensors cannot be run, or None."""
    return None if x.device.type == 'cpu' else f'made for the CPU, and x is on {x.device}'


def run(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve ``x`` ``[N, C, H, W]`` with ``weight`` ``[C, 1, kh, kw]``; the output is in channels-last format."""
    return channels_last_conv(x, weight, bias)


@torch.library.custom_op('lkdense::channels_last_conv', mutates_args=())
def channels_last_conv(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve ``x`` ``[N, C, H, W]`` with ``weight`` ``[C, 1, kh, kw]``."""
    # in 16 bit PyTorch's kernel for this format takes minutes where it takes milliseconds in float32
    dtype = torch.promote_types(x.dtype, torch.float32)
    image = x.to(dtype, memory_format=torch.channels_last)
    padding = (weight.shape[2] // 2, weight.shape[3] // 2)
    y = F.conv2d(image, weight.to(dtype), None if bias is None else bias.to(dtype), padding=padding, groups=x.shape[1])
    return y.to(x.dtype, memory_format=torch.channels_last)


@channels_last_conv.register_fake
def _(x, weight, bias):
    return torch.empty_like(x, memory_format=torch.channels_last)


register_gradients(channels_last_conv, spectral_weight_gradient)
