"""A linear layer, on a CPU through oneDNN: the product and both of its gradients.

For float32 PyTorch gives matrix products to MKL, which on AMD's processors uses half of AVX-512 (100 GFLOP/s a core
where oneDNN does 200). It gives only convolutions to oneDNN, whose weight gradient of a 1 x 1 convolution takes 1.2 to
4 times as long as the product.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from . import _torch_internals
from ._torch_internals import has_onednn_linear, is_recorded, is_transformed


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return what ``F.linear`` does: ``[..., C]`` to ``[..., D]``.

    Args:
        x: ``[..., C]``.
        weight: ``[D, C]``.
        bias: ``[D]``.

    Example:
        >>> import torch
        >>> from lkdense.ops import linear
        >>> linear(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]]), torch.tensor([0.5]))
        tensor([[11.5000]])
    """
    if not _suits_onednn(x, weight, bias):
        return F.linear(x, weight, bias)

    # For more than two dimensions the operator returns a view, which autograd would not let anyone overwrite.
    rows = x.reshape(-1, x.shape[-1])
    return onednn_linear(rows, weight, bias).view(*x.shape[:-1], weight.shape[0])


def _suits_onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    # A compiler makes this replacement by itself, an exporter does not know the operator, and autocast changes the
    # dtype.
    if is_recorded() or torch.is_autocast_enabled('cpu') or is_transformed():
        return False

    tensors = (x, weight) if bias is None else (x, weight, bias)
    if not all(tensor.device.type == 'cpu' and tensor.dtype == torch.float32 for tensor in tensors):
        return False
    if x.numel() == 0 or (bias is not None and bias.shape != weight.shape[:1]):
        return False
    return has_onednn_linear()


@torch.library.custom_op('lkdense::onednn_linear', mutates_args=())
def onednn_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return ``x @ weight.T + bias`` for ``x`` ``[P, C]``, ``weight`` ``[D, C]`` and ``bias`` ``[D]``."""
    return _torch_internals.onednn_linear(x, weight, bias)


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
    pixels, channels = x.shape
    width = grad.shape[1]

    # oneDNN copies the first operand to turn it round, and not the second. Turning the result instead may move fewer
    # numbers.
    if pixels * channels + channels * width < pixels * width:
        return onednn_linear(x.t(), grad.t(), None).t().contiguous()
    return onednn_linear(grad.t(), x.t(), None)


onednn_linear.register_autograd(_backward, setup_context=_save)
