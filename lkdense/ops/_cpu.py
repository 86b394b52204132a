"""PyTorch's convolution in the layout that suits it best, and a weight gradient through spectra.

On a CPU PyTorch is fast for large depthwise kernels in the channels-last format, in the default format only for narrow
ones, and for no weight gradient of a large kernel at all. ``docs/evidence/performance.md`` has the figures.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ._autograd import register_gradients
from ._spectrum import spectral_weight_gradient

# the widest kernel that oneDNN has code for in the default format; wider ones take ten to fifty times longer.
# In channels-last that same code takes twice the time of what runs one size further up.
WIDEST = 13


def refusal(x: Tensor, weight: Tensor) -> str | None:
    """Return why these tensors cannot be run, or None."""
    return None if x.device.type == 'cpu' else f'made for the CPU, and x is on {x.device}'


def run(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve ``x`` ``[N, C, H, W]`` with ``weight`` ``[C, 1, kh, kw]``; the output has ``x``'s memory format."""
    return direct_conv(x, weight, bias)


@torch.library.custom_op('lkdense::direct_conv', mutates_args=())
def direct_conv(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve ``x`` ``[N, C, H, W]`` with ``weight`` ``[C, 1, kh, kw]``."""
    image, kernel = _widened(x), _widened(weight)
    bias = None if bias is None else _widened(bias)
    height, width = weight.shape[2:]
    if x.is_contiguous(memory_format=torch.channels_last) or min(height, width) > WIDEST:
        if width == WIDEST:
            kernel = F.pad(kernel, (1, 1))
        result = _conv(image.contiguous(memory_format=torch.channels_last), kernel, bias)
    elif width <= WIDEST:
        result = _conv(image.contiguous(), kernel, bias)
    else:
        result = _conv(image.mT.contiguous(), kernel.mT.contiguous(), bias).mT
    return _like(x, result)


@direct_conv.register_fake
def _(x, weight, bias):
    return torch.empty_like(x)


def _conv(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    padding = (weight.shape[2] // 2, weight.shape[3] // 2)
    # which would make them 16 bit again
    with torch.autocast('cpu', enabled=False):
        return F.conv2d(x, weight, bias, padding=padding, groups=x.shape[1])


def _widened(x: Tensor) -> Tensor:
    # in 16 bit PyTorch takes minutes in channels-last where it takes milliseconds in float32
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _like(x: Tensor, result: Tensor) -> Tensor:
    same = result.dtype == x.dtype and result.stride() == x.stride()
    return result if same else torch.empty_like(x).copy_(result)


register_gradients(direct_conv, spectral_weight_gradient)
