"""Depthwise convolution as a product of spectra: the cost hardly depends on the size of the kernel.

On CPUs this is the fastest way where kernel and image are large, for the output and for both gradients.

A circular convolution of ``H + kh // 2`` rows is enough for 'same' padding: what wraps around meets only zeros, or rows
that are cut off. Images far larger than that are cut into tiles, which overlap by the kernel. Channels go through in
slices, which with their spectra stay in the cache and bound the memory. Of a kernel larger than the image only the taps
that some pixel meets are looked at. Everything below float64 is computed in float32.
"""

import math
from collections.abc import Sequence
from functools import cache
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from ._autograd import register_gradients

# So many bytes of padded images are worked on at a time: together with their spectra they fill about the second-level
# cache of a core.
SLICE_BYTES = 2**20
# A GPU wants to be filled. This is an estimate, not a measurement.
SLICE_BYTES_GPU = 2**28
# In channels-last a slice with fewer channels than a cache line holds would read the same lines again.
LINE = 16  # channels
# A tile that is not the whole image has about so many rows and columns. Smaller ones lose more by their overlap than
# the cache gains.
TILE = 512


def refusal(x: Tensor, weight: Tensor) -> str | None:
    """Return why these tensors cannot be run; there is never a reason here."""
    return None


def run(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve ``x`` ``[N, C, H, W]`` with ``weight`` ``[C, 1, kh, kw]``; the output has ``x``'s memory format."""
    # Without gradients the weight is likely to stay as it is. Autocast makes a new weight in every call.
    keep = not (torch.is_grad_enabled() or torch.is_autocast_enabled(x.device.type))
    return spectral_conv(x, weight, bias, keep_spectrum=keep)


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
    # Writing to this view of the taps that meet a pixel fills the result; the other taps have no gradient.
    centre = _within_reach(result, x.shape[2:])
    rows, columns = centre.shape[2:]
    plan = Plan(x.shape[2:], (rows, columns))

    for channels in _channel_slices(x, plan.period):
        total = None
        for tile in plan.tiles:
            spectrum = _spectrum(x[:, channels], tile.source, plan.period, tile.offset)
            # A compiler that runs this for the first time passes over the flag that conj() sets.
            spectrum *= _spectrum(grad[:, channels], tile.target, plan.period).conj_physical_()
            total = spectrum.sum(0) if total is None else total.add_(spectrum.sum(0))

        centre[channels, 0] = torch.fft.irfft2(total, s=plan.period)[..., :rows, :columns]

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


class Interval(NamedTuple):
    """A tile along one dimension."""

    target: slice
    source: slice
    offset: int


class Plan:
    """The tiles of an image and the period, in rows and columns, of the circular convolution of each.

    Args:
        size: (height, width) of the image.
        kernel: (height, width) of the kernel.
    """

    def __init__(self, size: Sequence[int], kernel: Sequence[int]):
        self.period: list[int] = []
        intervals = []
        for image, taps in zip(size, kernel):
            count = max(1, round(image / TILE))
            length = math.ceil(image / count)
            # The zeros on one side of a whole image serve both sides. Tiles see their neighbours on both sides.
            overlap = taps // 2 if count == 1 else taps - 1
            self.period.append(_fast_length(length + overlap))
            intervals.append(_cut(image, taps, length))

        self.tiles: list[Tile] = []
        for vertical, horizontal in product(*intervals):
            target, source, offset = zip(vertical, horizontal)
            self.tiles.append(Tile(target, source, offset))


def _cut(image: int, taps: int, length: int) -> list[Interval]:
    """Return the tiles of ``length`` along one dimension of an image, for a kernel of ``taps``."""
    reach = taps // 2
    intervals = []
    for begin in range(0, image, length):
        end = min(begin + length, image)
        first, last = max(begin - reach, 0), min(end + reach, image)
        intervals.append(Interval(slice(begin, end), slice(first, last), first - begin + reach))

    return intervals


def _convolve(x: Tensor, weights: Sequence[Tensor], bias: Tensor | None, keep_spectrum: bool) -> Tensor:
    """Convolve ``x`` with the sum of kernels that share a centre."""
    y = torch.empty_like(x)
    centres = [_within_reach(weight, x.shape[2:]) for weight in weights]
    kernel = [max(centre.shape[dim] for centre in centres) for dim in (2, 3)]
    plan = Plan(x.shape[2:], kernel)
    slices = _channel_slices(x, plan.period)

    all_factors = None
    if keep_spectrum and slices:
        all_factors = _cached_factors(weights, centres, kernel, plan.period, slices)

    for channels in slices:
        if all_factors is None:
            factors = _factors([centre[channels] for centre in centres], kernel, plan.period)
        else:
            factors = all_factors[channels]

        for tile in plan.tiles:
            spectrum = _spectrum(x[:, channels], tile.source, plan.period, tile.offset)
            spectrum *= factors
            height, width = (interval.stop - interval.start for interval in tile.target)
            convolved = torch.fft.irfft2(spectrum, s=plan.period)[..., :height, :width]
            if bias is not None:
                convolved.add_(bias[channels, None, None])
            y[(slice(None), channels, *tile.target)] = convolved

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
    whole = (slice(None), slice(None))
    spectra = []
    for weight in weights:
        offset = [(size - taps) // 2 for size, taps in zip(kernel, weight.shape[2:])]
        # The kernels become the channels of a single image.
        spectra.append(_spectrum(weight.transpose(0, 1), whole, period, offset)[0])

    return sum(spectra[1:], spectra[0]).conj().resolve_conj()


class CachedFactors(NamedTuple):
    """The factors of some kernels, and what they were computed from."""

    settings: list
    weights: list[Tensor]
    factors: Tensor


_cache = WeakTensorKeyDictionary()


def _cached_factors(
    weights: Sequence[Tensor],
    centres: Sequence[Tensor],
    kernel: Sequence[int],
    period: Sequence[int],
    slices: Sequence[slice],
) -> Tensor:
    """Return the factors ``[C, ...]`` of ``weights``, of which only the ``centres`` count, anew where they changed."""
    settings = [kernel, period, *((weight.shape, weight.dtype, weight.device) for weight in weights)]
    cached = _cache.get(weights[0])
    # Weights are compared by value: code that writes through `.data`, as averaging of weights does, leaves no other
    # trace.
    if cached is not None and cached.settings == settings and all(map(torch.equal, cached.weights, weights)):
        return cached.factors

    # The spectrum of real numbers is symmetric, so half of its columns are enough.
    size = (len(weights[0]), period[0], period[1] // 2 + 1)
    dtype = torch.promote_types(weights[0].dtype, torch.float32).to_complex()
    factors = torch.empty(size, dtype=dtype, device=weights[0].device)
    # Padded kernels of all channels at once would need more memory than anything else in a whole network, so this goes
    # slice by slice.
    for channels in slices:
        factors[channels] = _factors([centre.detach()[channels] for centre in centres], kernel, period)

    copies = [weight.detach().clone() for weight in weights]
    _cache[weights[0]] = CachedFactors(settings, copies, factors)
    return factors


def _channel_slices(x: Tensor, period: Sequence[int]) -> list[slice]:
    """Return the slices of the channels of ``x`` that are worked on one after the other; none for empty images."""
    if x.numel() == 0:
        return []

    budget = SLICE_BYTES if x.device.type == 'cpu' else SLICE_BYTES_GPU
    bytes_per_channel = x.shape[0] * math.prod(period) * 4
    step = max(1, budget // bytes_per_channel)
    if x.stride(1) == 1:
        step = LINE * math.ceil(step / LINE)

    return [slice(start, start + step) for start in range(0, x.shape[1], step)]


@cache
def _fast_length(least: int) -> int:
    """Return the smallest even product of 2, 3 and 5 that is at least ``least``."""
    lengths = (2**i * 3**j * 5**k for i in range(1, 20) for j in range(8) for k in range(6))
    return min(length for length in lengths if length >= least)
