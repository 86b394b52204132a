"""Depthwise convolution as a product of spectra: the cost hardly depends on the size of the kernel.

A circular convolution of ``H + kh // 2`` rows is enough for 'same' padding: what wraps around meets only zeros, or rows
that are cut off. Channels go through in slices that stay in the cache, which also bounds the memory. Everything below
float64 is computed in float32.
"""

from collections.abc import Iterator, Sequence
from functools import cache

import torch
from torch import Tensor

# bytes of padded images worked on at a time: about a core's second-level cache
SLICE_BYTES = 2**21


@torch.library.custom_op('lkdense::spectral_conv', mutates_args=())
def spectral_conv(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve ``x`` ``[N, C, H, W]`` with ``weight`` ``[C, 1, kh, kw]``; the output has ``x``'s memory format."""
    y = torch.empty_like(x)
    height, width = x.shape[2:]
    kernel = weight.shape[2:]
    period = [_fast_length(n + k // 2) for n, k in zip((height, width), kernel)]
    offset = [k // 2 for k in kernel]
    for part in _slices(x, period):
        product = _spectrum(x[:, part], period, offset)
        product *= _spectrum(weight[part].transpose(0, 1), period).conj()
        convolved = torch.fft.irfft2(product, s=period)[..., :height, :width]
        y[:, part] = convolved if bias is None else convolved + bias[part, None, None]
    return y


@torch.library.custom_op('lkdense::spectral_weight_gradient', mutates_args=())
def spectral_weight_gradient(x: Tensor, grad: Tensor, height: int, width: int) -> Tensor:
    """Return a kernel's gradient ``[C, 1, height, width]`` from input and output gradient ``[N, C, H, W]``."""
    result = x.new_zeros(x.shape[1], 1, height, width)
    period = [_fast_length(n + k // 2) for n, k in zip(x.shape[2:], (height, width))]
    offset = (height // 2, width // 2)
    for part in _slices(x, period):
        product = _spectrum(x[:, part], period, offset) * _spectrum(grad[:, part], period).conj()
        correlation = torch.fft.irfft2(product.sum(0), s=period)
        result[part, 0, : period[0], : period[1]] = correlation[..., :height, :width]
    return result


@spectral_conv.register_fake
def _(x, weight, bias):
    return torch.empty_like(x)


@spectral_weight_gradient.register_fake
def _(x, grad, height, width):
    return x.new_empty(x.shape[1], 1, height, width)


def _spectrum(x: Tensor, period: Sequence[int], offset: Sequence[int] = (0, 0)) -> Tensor:
    top, left = offset
    padded = torch.zeros(*x.shape[:2], *period, dtype=torch.promote_types(x.dtype, torch.float32))
    # a kernel may reach beyond the period of a small image, but there it meets nothing but zeros
    x = x[..., : period[0] - top, : period[1] - left]
    padded[..., top : top + x.shape[2], left : left + x.shape[3]] = x
    return torch.fft.rfft2(padded)


def _slices(x: Tensor, period: Sequence[int]) -> Iterator[slice]:
    step = max(1, SLICE_BYTES // (max(x.shape[0], 1) * period[0] * period[1] * 4))
    channels = x.shape[1] if x.numel() else 0
    return (slice(start, start + step) for start in range(0, channels, step))


@cache
def _fast_length(least: int) -> int:
    """Return the smallest even product of 2, 3 and 5 that is at least ``least``."""
    lengths = (2**i * 3**j * 5**k for i in range(1, 20) for j in range(8) for k in range(6))
    return min(length for length in lengths if length >= least)
