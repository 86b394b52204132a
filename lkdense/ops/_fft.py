"""Output and both gradients through spectra: on CPUs the fastest where kernel and image are large."""

import torch
from torch import Tensor

from ._spectrum import spectral_conv


def refusal(x: Tensor, weight: Tensor) -> str | None:
    """Return why these tensors cannot be run, which never happens here."""
    return None


def run(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve ``x`` ``[N, C, H, W]`` with ``weight`` ``[C, 1, kh, kw]``; the output has ``x``'s memory format."""
    # without gradients the weight is likely to stay as it is; under autocast it is a new one in every call
    keep = not (torch.is_grad_enabled() or torch.is_autocast_enabled(x.device.type))
    return spectral_conv(x, weight, bias, keep_spectrum=keep)
