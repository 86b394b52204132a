"""Depthwise convolution as a product of spectra: the cost hardly depends on the size of the kernel.

A circular convolution of ``H + kh // 2`` rows is enough for 'same' padding: what wraps around meets only zeros, or rows
that are cut off. Images far larger than that are cut into tiles, which overlap by the kernel. Channels go through in
slices, which with their spectra stay in the cache and bound the memory. Of a kernel larger than the image only the taps
that some pixel meets are looked at. Everything below float64 is computed in float32.
"""

from collections.abc import Sequence
from functools import cache
from itertools import chain, product
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from ._autograd import register_gradients

# bytes of padded images worked on at a time: together with their spectra about a core's second-level cache
SLICE_BYTES = 2**20
# the same on a GPU, which wants to be filled: an estimate, not measured
SLICE_BYTES_GPU = 2**28
# channels of a slice in channels-last: fewer than a cache line holds would read the same lines again
LINE = 16
# rows and columns, about, of a tile that is not the whole image; smaller ones lose more by overlap than the cache gains
TILE = 512


@torch.library.custom_op('lkdense::spectral_conv', mutates_args=())
def spectral_conv(x: Tensor, weight: Tensor, bias: Tensor | None, keep_spectrum: bool = False) -> Tensor:
    """Convolve ``x`` ``[N, C, H, W]`` with ``weight`` ``[C, 1, kh, kw]``; the output has ``x``'s memory format.

    Args:
        x: the images.
        weight: the kernels.
        bias: ``[C]``.
        keep_spectrum: keep the kernels' spectrum for the next call with the same ``weight``, as long as it lives.
    """
    return _convolve(x, [weight], bias, keep_spectrum)


@torch.library.custom_op('lkdense::spectral_strips', mutates_args=())
def spectral_strips(x: Tensor, vertical: Tensor, horizontal: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve ``x`` ``[N, C, H, W]`` with the sum of two centred kernels as one; without gradients.

    Args:
        x: the images.
        vertical: ``[C, 1, K, n]``.
        horizontal: ``[C, 1, n, K]``.
        bias: ``[C]``.
    """
    return _convolve(x, [vertical, horizontal], bias, keep_spectrum=True)


@torch.library.custom_op('lkdense::spectral_weight_gradient', mutates_args=())
def spectral_weight_gradient(x: Tensor, grad: Tensor, height: int, width: int) -> Tensor:
    """Return a kernel's gradient ``[C, 1, height, width]`` from input and output gradient ``[N, C, H, W]``."""
    result = x.new_zeros(x.shape[1], 1, height, width)
    met = _within_reach(result, x.shape[2:])
    height, width = met.shape[2:]
    plan = Plan(x.shape[2:], (height, width))
    for part in _slices(x, plan.period):
        total = None
        for tile in plan.tiles:
            spectrum = _spectrum(x[:, part], tile.source, plan.period, tile.offset)
            # not conj(), a flag that is passed over where a compiler runs this for the first time
            spectrum *= _spectrum(grad[:, part], tile.target, plan.period).conj_physical_()
            total = spectrum.sum(0) if total is None else total.add_(spectrum.sum(0))
        met[part, 0] = torch.fft.irfft2(total, s=plan.period)[..., :height, :width]
    return result


@spectral_conv.register_fake
def _(x, weight, bias, keep_spectrum=False):
    return torch.empty_like(x)


@spectral_strips.register_fake
def _(x, vertical, horizontal, bias):
    return torch.empty_like(x)


@spectral_weight_gradient.register_fake
def _(x, grad, height, width):
    return x.new_empty(x.shape[1], 1, height, width)


register_gradients(spectral_conv, spectral_weight_gradient)


class Tile(NamedTuple):
    """A part of the output, the part of the input that it sees, and where that begins in the padded tile."""

    target: tuple[slice, slice]
    source: tuple[slice, slice]
    offset: tuple[int, int]


class Plan:
    """The tiles of an image and the period, in rows and columns, of the circular convolution of each.

    Args:
        size: (height, width) of the image.
        kernel: (height, width) of the kernel.
    """

    def __init__(self, size: Sequence[int], kernel: Sequence[int]):
        starts, lengths, self.period = [], [], []
        for image, taps in zip(size, kernel):
            count = max(1, round(image / TILE))
            lengths.append(-(-image // count))
            starts.append(range(0, image, lengths[-1]))
            self.period.append(_fast_length(lengths[-1] + (taps // 2 if count == 1 else taps - 1)))
        self.tiles = []
        for begin in product(*starts):
            ends = [min(b + n, image) for b, n, image in zip(begin, lengths, size)]
            first = [max(b - taps // 2, 0) for b, taps in zip(begin, kernel)]
            last = [min(e + taps // 2, image) for e, taps, image in zip(ends, kernel, size)]
            offset = [f - b + taps // 2 for f, b, taps in zip(first, begin, kernel)]
            self.tiles.append(Tile(tuple(map(slice, begin, ends)), tuple(map(slice, first, last)), tuple(offset)))


def _convolve(x: Tensor, weights: Sequence[Tensor], bias: Tensor | None, keep_spectrum: bool) -> Tensor:
    """Convolve ``x`` with the sum of kernels that share a centre."""
    y = torch.empty_like(x)
    met = [_within_reach(weight, x.shape[2:]) for weight in weights]
    kernel = [max(weight.shape[dim] for weight in met) for dim in (2, 3)]
    plan = Plan(x.shape[2:], kernel)
    parts = _slices(x, plan.period)
    kept = _kept_factors(weights, met, kernel, plan.period, parts) if keep_spectrum and parts else None
    for part in parts:
        factors = _factors([w[part] for w in met], kernel, plan.period) if kept is None else kept[part]
        for tile in plan.tiles:
            spectrum = _spectrum(x[:, part], tile.source, plan.period, tile.offset)
            spectrum *= factors
            height, width = (rows.stop - rows.start for rows in tile.target)
            convolved = torch.fft.irfft2(spectrum, s=plan.period)[..., :height, :width]
            y[(slice(None), part, *tile.target)] = convolved if bias is None else convolved.add_(bias[part, None, None])
    return y


def _within_reach(weight: Tensor, size: Sequence[int]) -> Tensor:
    """Return the centre of kernels ``[C, 1, kh, kw]`` that reaches from edge to edge of images of this size."""
    for dim, image in zip((2, 3), size):
        beyond = max(0, weight.shape[dim] // 2 - (image - 1))
        weight = weight.narrow(dim, beyond, weight.shape[dim] - 2 * beyond)
    return weight


def _spectrum(x: Tensor, region: Sequence[slice], period: Sequence[int], offset: Sequence[int] = (0, 0)) -> Tensor:
    """Return the spectrum of a region of ``x`` that is placed at ``offset`` in zeros of size ``period``."""
    top, left = offset
    x = x[(..., *region)]
    padded = x.new_zeros(*x.shape[:2], *period, dtype=torch.promote_types(x.dtype, torch.float32))
    padded[..., top : top + x.shape[2], left : left + x.shape[3]] = x
    return torch.fft.rfft2(padded)


def _factors(weights: Sequence[Tensor], kernel: Sequence[int], period: Sequence[int]) -> Tensor:
    """Return the factors ``[C, ...]`` of a spectrum that correlate with the sum of kernels ``[C, 1, kh, kw]``."""
    total = 0
    for weight in weights:
        centring = [(size - own) // 2 for size, own in zip(kernel, weight.shape[2:])]
        total = total + _spectrum(weight.transpose(0, 1), (slice(None), slice(None)), period, centring)[0]
    return total.conj().resolve_conj()


_kept = WeakTensorKeyDictionary()


def _kept_factors(
    weights: Sequence[Tensor],
    met: Sequence[Tensor],
    kernel: Sequence[int],
    period: Sequence[int],
    parts: Sequence[slice],
) -> Tensor:
    """Return the factors of the taps ``met`` of ``weights``, computed where those have changed."""
    known = _kept.get(weights[0])
    settings = [kernel, period, *((weight.shape, weight.dtype, weight.device) for weight in weights)]
    # compared by value: what writes through `.data`, as averaging of weights does, leaves no other trace
    if known is None or known[0] != settings or not all(map(torch.equal, known[1], weights)):
        # slice by slice: padded kernels of all channels at once would be what needs most memory in a whole network
        found = (_factors([weight.detach()[part] for weight in met], kernel, period) for part in parts)
        first = next(found)
        factors = first.new_empty(len(weights[0]), *first.shape[1:])
        for part, some in zip(parts, chain([first], found)):
            factors[part] = some
        known = settings, [weight.detach().clone() for weight in weights], factors
        _kept[weights[0]] = known
    return known[2]


def _slices(x: Tensor, period: Sequence[int]) -> list[slice]:
    budget = SLICE_BYTES if x.device.type == 'cpu' else SLICE_BYTES_GPU
    step = max(1, budget // (max(x.shape[0], 1) * period[0] * period[1] * 4))
    if x.stride(1) == 1:
        step = -(-step // LINE) * LINE
    channels = x.shape[1] if x.numel() else 0
    return [slice(start, start + step) for start in range(0, channels, step)]


@cache
def _fast_length(least: int) -> int:
    """Return the smallest even product of 2, 3 and 5 that is at least ``least``."""
    lengths = (2**i * 3**j * 5**k for i in range(1, 20) for j in range(8) for k in range(6))
    return min(length for length in lengths if length >= least)
