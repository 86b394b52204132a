"""Output and both gradients through spectra, on the CPU."""

from torch import Tensor

from ._spectrum import spectral_conv, spectral_weight_gradient


def refusal(x: Tensor, weight: Tensor) -> str | None:
    """Return why these tensors cannot be run, or None."""
    return None if x.device.type == 'cpu' else f'made for the CPU, and x is on {x.device}'


def run(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve ``x`` ``[N, C, H, W]`` with ``weight`` ``[C, 1, kh, kw]``."""
    return spectral_conv(x, weight, bias)


def _save(ctx, inputs, output):
    ctx.save_for_backward(*inputs[:2])


def _backward(ctx, grad):
    x, weight = ctx.saved_tensors
    return (
        spectral_conv(grad, weight.flip(2, 3), None) if ctx.needs_input_grad[0] else None,
        spectral_weight_gradient(x, grad, *weight.shape[2:]) if ctx.needs_input_grad[1] else None,
        grad.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None,
    )


spectral_conv.register_autograd(_backward, setup_context=_save)
