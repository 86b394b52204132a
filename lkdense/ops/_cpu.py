"""PyTorch's convolution in the layout that suits it best, and a weight gradient through spectra.

On a CPU PyTorch is fast for large depthwise kernels in the channels-last format, in the default format only for narrow
ones, and for no weight gradient of a large kernel at all. ``docs/evidence/performance.md`` has the figures.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ._autograd import register_gradients
from ._fft import spectral_weight_gradient

# This is the widest kernel that oneDNN has code for in the default format; wider ones take ten to fifty times longer.
# In channels-last the same code takes twice as long as the code for the next size up.
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
    image, kernel = _widen(x), _widen(weight)
    bias = None if bias is None else _widen(bias)
    height, width = weight.shape[2:]

    if x.is_contiguous(memory_format=torch.channels_last) or min(height, width) > WIDEST:
        if width == WIDEST:
            kernel = F.pad(kernel, (1, 1))
        result = _convolve(image.contiguous(memory_format=torch.channels_last), kernel, bias)
    elif width <= WIDEST:
        result = _convolve(image.contiguous(), kernel, bias)
    else:
        result = _convolve(image.mT.contiguous(), kernel.mT.contiguous(), bias).mT

    return _match_layout(result, x)


@direct_conv.register_fake
def _(x, weight, bias):
    return torch.empty_like(x)


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    padding = (weight.shape[2] // 2, weight.shape[3] // 2)
    # Autocast would cast the widened tensors back to 16 bit.
    with torch.autocast('cpu', enabled=False):
        return F.conv2d(x, weight, bias, padding=padding, groups=x.shape[1])


def _widen(x: Tensor) -> Tensor:
    # In channels-last PyTorch takes minutes for 16 bit where it takes milliseconds for float32.
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _match_layout(result: Tensor, x: Tensor) -> Tensor:
    """Return ``result`` with the dtype and strides of ``x``."""
    if result.dtype == x.dtype and result.stride() == x.stride():
        return result
    return torch.empty_like(x).copy_(result)


register_gradients(direct_conv, spectral_weight_gradient)
