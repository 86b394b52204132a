"""Which backends to try for which tensor, best first: rules fitted to what `benchmarks/depthwise.py` measured.

On a CPU the unit of cost is a tap: what one tap of a direct convolution in channels-last costs for one pixel. The costs
were read off the shapes of the benchmark on two cores with AVX-512, one and two threads alike
(`docs/evidence/performance.md`). A direct convolution costs its taps and the conversions that it needs. A product of
spectra costs the same for each pixel of the padded image, whatever the kernel. On a GPU the rule is an estimate that
nobody has measured.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ._cpu import WIDEST
from ._torch_internals import is_transformed

# Up to this many taps PyTorch's own convolution is the fastest, or the fastest for both gradients together.
SMALL_KERNEL = 3 * 3
SMALL_KERNEL_CHANNELS_LAST = 5 * 5

# A product of spectra costs this much for each padded pixel.
SPECTRA_CONTIGUOUS = 250  # taps
SPECTRA_CHANNELS_LAST = 370  # taps

# These conversions cost this much for each pixel: turning the image round for a wide and low kernel, and changing to
# channels-last and back.
TRANSPOSITION = 100  # taps
CONVERSION = 1000  # taps

# Two strips cost this much for each pixel above their taps: their taps are dearer than a square kernel's, and the two
# results have to be added up.
STRIPS = 100  # taps

# Beyond this many taps matrix products should beat PyTorch's own kernel on a GPU.
LARGE_KERNEL_GPU = 9 * 9


def preference(x: Tensor, weight: Tensor) -> tuple[str, ...]:
    """Return backend names in the order in which they should be asked; the last one refuses nothing."""
    if is_transformed():
        return ('eager',)

    height, width = weight.shape[2:]
    taps = height * width
    if x.device.type != 'cpu':
        return ('triton', 'eager') if taps > LARGE_KERNEL_GPU else ('eager',)

    # PyTorch has no fast code for float16 on CPUs, however small the kernel is.
    small = SMALL_KERNEL_CHANNELS_LAST if is_channels_last(x) else SMALL_KERNEL
    if taps <= small and x.dtype != torch.float16:
        return ('eager',)

    if spectra_cost(x, (height, width)) < direct_cost(x, (height, width)):
        return ('fft', 'eager')
    if is_same_as_eager(x, weight):
        return ('eager',)
    return ('cpu', 'eager')


def is_one_kernel_cheaper(x: Tensor, vertical: Tensor, horizontal: Tensor) -> bool:
    """Return whether two strips cost more than their sum, which is one large kernel, through spectra."""
    if x.device.type != 'cpu':
        return False

    strips = [weight.shape[2:] for weight in (vertical, horizontal)]
    heights, widths = zip(*strips)
    as_strips = STRIPS + sum(direct_cost(x, strip) for strip in strips)
    as_one_kernel = spectra_cost(x, (max(heights), max(widths)))
    return as_one_kernel < as_strips


def direct_cost(x: Tensor, kernel: Sequence[int]) -> float:
    """Return the cost of a pixel on a CPU, in taps, for a kernel of (height, width) and images ``[N, C, H, W]``."""
    height, width = kernel
    taps = height * width
    if is_channels_last(x) or width <= WIDEST:
        return taps
    return taps + (TRANSPOSITION if height <= WIDEST else CONVERSION)


def spectra_cost(x: Tensor, kernel: Sequence[int]) -> float:
    """Return the cost of a pixel on a CPU, in taps, as :func:`direct_cost` does."""
    padding = 1.0
    for size, taps in zip(x.shape[2:], kernel):
        padding *= (size + taps // 2) / max(size, 1)

    return padding * (SPECTRA_CHANNELS_LAST if is_channels_last(x) else SPECTRA_CONTIGUOUS)


def is_channels_last(x: Tensor) -> bool:
    """Return whether neighbouring values of ``x`` are channels of one pixel."""
    return x.is_contiguous(memory_format=torch.channels_last)


def is_same_as_eager(x: Tensor, weight: Tensor) -> bool:
    """Return whether `cpu` would do no more than call PyTorch, so that the way through it would only cost time."""
    needs_gradient = torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)
    if needs_gradient or x.dtype not in (torch.float32, torch.float64):
        return False

    width = weight.shape[3]
    if is_channels_last(x):
        return width != WIDEST
    return width <= WIDEST and x.is_contiguous()
