"""The gradients of a depthwise convolution, written once for all backends that have an operator of their own."""

from collections.abc import Callable

from torch.library import CustomOpDef


def register_gradients(conv: CustomOpDef, weight_gradient: Callable, input_gradient: Callable | None = None) -> None:
    """Make ``conv(x, weight, bias)``, which may have options after these, differentiable.

    Args:
        conv: the operator.
        weight_gradient: ``(x, grad, kh, kw)`` to the gradient ``[C, 1, kh, kw]``.
        input_gradient: ``(grad, weight)`` to the gradient ``[N, C, H, W]``; by default ``conv``
            with the kernel flipped.
    """

    def save(ctx, inputs, output):
        ctx.save_for_backward(*inputs[:2])
        ctx.options = len(inputs) - 3

    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        return (
            (input_gradient or flipped)(grad, weight) if ctx.needs_input_grad[0] else None,
            weight_gradient(x, grad, *weight.shape[2:]) if ctx.needs_input_grad[1] else None,
            grad.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None,
            *[None] * ctx.options,
        )

    def flipped(grad, weight):
        return conv(grad, weight.flip(2, 3), None)

    conv.register_autograd(backward, setup_context=save)
