"""A linear layer, on a CPU through oneDNN: the product and both of its gradients.

For float32 PyTorch gives matrix products to MKL, which on AMD's processors uses half of AVX-512 (100 GFLOP/s a core
where oneDNN does 200), and only convolutions to oneDNN, whose weight gradient of a 1 x 1 convolution takes 1.2 to 4
times what the product does. The operator called here is the one that PyTorch's compiler puts in place of linear layers.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ._autograd import transformed

ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, '_linear_pointwise')


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return what ``F.linear`` does: ``[..., C]`` to ``[..., D]``.

    Args:
        x: ``[..., C]``.
        weight: ``[D, C]``.
        bias: ``[D]``.
    """
    if not _suits_onednn(x, weight, bias):
        return F.linear(x, weight, bias)
    # of more than two dimensions the operator returns a view, which autograd would not let anyone overwrite
    return onednn_linear(x.reshape(-1, x.shape[-1]), weight, bias).view(*x.shape[:-1], weight.shape[0])


def _suits_onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    # a compiler knows this trick, an exporter not the operator, and autocast changes the dtype
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or torch.is_autocast_enabled('cpu') or transformed():
        return False
    tensors = (x, weight) if bias is None else (x, weight, bias)
    single = all(t.device.type == 'cpu' and t.dtype == torch.float32 for t in tensors)
    return ONEDNN and single and x.numel() > 0 and (bias is None or bias.shape == weight.shape[:1])


@torch.library.custom_op('lkdense::onednn_linear', mutates_args=())
def onednn_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return ``x @ weight.T + bias`` for ``x`` ``[P, C]``, ``weight`` ``[D, C]`` and ``bias`` ``[D]``."""
    # whose strides it does not look at
    bias = None if bias is None else bias.contiguous()
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, 'none', [], '')


@onednn_linear.register_fake
def _(x, weight, bias):
    return x.new_empty(len(x), weight.shape[0])


def _save(ctx, inputs, output):
    ctx.save_for_backward(*inputs[:2])


def _backward(ctx, grad):
    x, weight = ctx.saved_tensors
    return (
        onednn_linear(grad, weight.t(), None) if ctx.needs_input_grad[0] else None,
        _weight_gradient(x, grad) if ctx.needs_input_grad[1] else None,
        grad.sum(0) if ctx.needs_input_grad[2] else None,
    )


def _weight_gradient(x: Tensor, grad: Tensor) -> Tensor:
    """Return ``grad.T @ x`` of ``[P, C]`` and ``[P, D]``, contiguous."""
    pixels, channels, width = *x.shape, grad.shape[1]
    # the first operand is copied to turn it round, the second is not: turning the result instead may be less
    if pixels * channels + channels * width < pixels * width:
        return onednn_linear(x.t(), grad.t(), None).t().contiguous()
    return onednn_linear(grad.t(), x.t(), None)


onednn_linear.register_autograd(_backward, setup_context=_save)
