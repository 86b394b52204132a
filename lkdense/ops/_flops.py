"""What PyTorch's ``FlopCounterMode`` counts for our operators: the convolution or product, however it is computed."""

from math import prod

import torch
from torch.utils.flop_counter import register_flop_formula

from . import _cpu, _fft, _linear, _triton  # noqa: F401  They define the operators.

OPS = torch.ops.lkdense


@register_flop_formula([OPS.direct_conv, OPS.spectral_conv, OPS.banded_conv])
def conv_flops(x: tuple, weight: tuple, *_, **__) -> int:
    """Return two for each multiply-add, of which a pixel takes as many as the kernel has weights."""
    return 2 * x[0] * x[1] * x[2] * x[3] * weight[2] * weight[3]


@register_flop_formula(OPS.spectral_strips)
def strips_flops(x: tuple, vertical: tuple, horizontal: tuple, *_, **__) -> int:
    """Return the operations of the two strips, although one large kernel is computed."""
    return conv_flops(x, vertical) + conv_flops(x, horizontal)


@register_flop_formula([OPS.spectral_weight_gradient, OPS.banded_weight_gradient])
def weight_gradient_flops(x: tuple, grad: tuple, height: int, width: int, *_, **__) -> int:
    """Return as many as for the convolution itself."""
    return 2 * x[0] * x[1] * x[2] * x[3] * height * width


@register_flop_formula(OPS.onednn_linear)
def linear_flops(x: tuple, weight: tuple, *_, **__) -> int:
    """Return two for each multiply-add."""
    return 2 * prod(x) * weight[0]
