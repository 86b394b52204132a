"""Which backends to try for which tensor, best first: rules fitted to what `benchmarks/depthwise.py` measured.

On a CPU costs are in taps: what one tap of a direct convolution in channels-last costs for one pixel. They were read
off the shapes of the benchmark on two cores with AVX-512, one and two threads alike (`docs/evidence/performance.md`):
a direct convolution costs its taps and what conversions it needs, a product of spectra the same for each pixel of the
padded image, whatever the kernel. On a GPU the rule is an estimate that nobody has measured.
"""

import torch
from torch import Tensor

from ._autograd import transformed
from ._cpu import WIDEST

# taps up to which PyTorch's own convolution is best, or best for both gradients together
SMALL_KERNEL, SMALL_KERNEL_CHANNELS_LAST = 3 * 3, 5 * 5
# of a padded pixel through spectra
SPECTRA_CONTIGUOUS, SPECTRA_CHANNELS_LAST = 250, 370
# of a pixel: turning the image round for a kernel that is wide and low, or to channels-last and back
TRANSPOSITION, CONVERSION = 100, 1000
# of a pixel: what two strips cost above their taps, which are dearer than a square kernel's, and adding them up
STRIPS = 100
# taps beyond which matrix products should beat PyTorch's own kernel on a GPU
LARGE_KERNEL_GPU = 9 * 9


def preference(x: Tensor, weight: Tensor) -> tuple[str, ...]:
    """Return backend names in the order in which they should be asked; the last one refuses nothing."""
    if transformed():
        return ('eager',)
    taps = weight.shape[2] * weight.shape[3]
    if x.device.type != 'cpu':
        return ('triton', 'eager') if taps > LARGE_KERNEL_GPU else ('eager',)
    small = SMALL_KERNEL_CHANNELS_LAST if channels_last(x) else SMALL_KERNEL
    if taps <= small and x.dtype != torch.float16:  # for which PyTorch has no fast code on CPUs
        return ('eager',)
    if spectra_cost(x, weight.shape[2:]) < direct_cost(x, weight.shape[2:]):
        return 'fft', 'eager'
    if as_pytorch_does_it(x, weight):
        return ('eager',)
    return 'cpu', 'eager'


def one_is_cheaper(x: Tensor, vertical: Tensor, horizontal: Tensor) -> bool:
    """Return whether two strips cost more than the one kernel that is their sum, through spectra."""
    if x.device.type != 'cpu':
        return False
    strips = [weight.shape[2:] for weight in (vertical, horizontal)]
    return spectra_cost(x, tuple(map(max, *strips))) < STRIPS + sum(direct_cost(x, strip) for strip in strips)


def direct_cost(x: Tensor, kernel: tuple[int, int]) -> float:
    """Return the cost of a pixel on a CPU, in taps, for a kernel of (height, width) and images ``[N, C, H, W]``."""
    height, width = kernel
    taps = height * width
    if channels_last(x) or width <= WIDEST:
        return taps
    return taps + (TRANSPOSITION if height <= WIDEST else CONVERSION)


def spectra_cost(x: Tensor, kernel: tuple[int, int]) -> float:
    """Return the cost of a pixel on a CPU, in taps, as :func:`direct_cost` does."""
    padding = 1.0
    for size, taps in zip(x.shape[2:], kernel):
        padding *= (size + taps // 2) / max(size, 1)
    return padding * (SPECTRA_CHANNELS_LAST if channels_last(x) else SPECTRA_CONTIGUOUS)


def channels_last(x: Tensor) -> bool:
    """Return whether neighbouring values of ``x`` are channels of one pixel."""
    return x.is_contiguous(memory_format=torch.channels_last)


def as_pytorch_does_it(x: Tensor, weight: Tensor) -> bool:
    """Return whether `cpu` would just call PyTorch, so that going through it would only cost time."""
    needs_gradient = torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)
    detour = weight.shape[3] == WIDEST if channels_last(x) else weight.shape[3] > WIDEST or not x.is_contiguous()
    return not needs_gradient and not detour and x.dtype in (torch.float32, torch.float64)
