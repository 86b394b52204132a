"""Everything private of PyTorch that this package relies on, in one place.

A private name may go with any release. Each function here says why PyTorch's public names do not do, and what happens
where the private one is missing: nothing fails at import or at a call, the results stay right, only speed is lost.
All of them were run with torch 2.13.0. The packages of 2.4.1, 2.6.0, 2.9.1 and 2.14.0 were read: they have each of
these names, and the operators take the same arguments.
"""

from collections.abc import Sequence
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad


def is_transformed() -> bool:
    """Return whether ``torch.func`` or forward-mode differentiation is at work.

    Neither knows our operators, and no public name tells whether they are active. PyTorch keeps a stack of
    functorch's interpreters and, in ``forward_ad``, the level of forward mode. Where one of these is missing the
    answer is yes: every convolution and every product then runs through PyTorch's own, differentiable operators.
    """
    if torch.compiler.is_compiling():
        return False

    try:
        # PyTorch's own stubs leave `_functorch` out.
        stack = torch._C._functorch.peek_interpreter_stack()  # pyright: ignore[reportAttributeAccessIssue]
        return stack is not None or forward_ad._current_level >= 0
    except AttributeError:
        return True


def is_recorded() -> bool:
    """Return whether a compiler or ``torch.jit.trace`` records the calls.

    ``torch.jit`` is deprecated. Where it has gone, nothing records with it.
    """
    if torch.compiler.is_compiling():
        return True

    try:
        # PyTorch documents this function, but does not list it among the names that `torch.jit` exports.
        return torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]
    except AttributeError:
        return False


@cache
def has_onednn_linear() -> bool:
    """Return whether oneDNN's linear layer can be called the way :func:`onednn_linear` does, which is tried once.

    PyTorch's compiler puts this operator in place of linear layers. The public ``F.linear`` gives float32 to MKL,
    which is half as fast on AMD's processors. Where the operator is missing, or takes other arguments, the answer is
    no, and ``F.linear`` is used.
    """
    if not torch.backends.mkldnn.is_available():
        return False

    x, weight, bias = (torch.ones(shape, dtype=torch.float32, device='cpu') for shape in ((2, 3), (4, 3), (4,)))
    try:
        return onednn_linear(x, weight, bias).shape == (2, 4)
    except (AttributeError, RuntimeError, TypeError):
        return False


def onednn_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return ``x @ weight.T + bias`` for ``x`` ``[P, C]``, ``weight`` ``[D, C]`` and ``bias`` ``[D]``.

    It has no gradient. Ask :func:`has_onednn_linear` first.
    """
    # The operator does not look at the strides of the bias.
    bias = None if bias is None else bias.contiguous()
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, 'none', [], '')


def gelu_(x: Tensor, approximate: str) -> Tensor:
    """Overwrite ``x`` with its GELU and return it.

    ``F.gelu`` has no form that works in place, only the operator below it has. Where that one is missing the result
    is computed in fresh memory and copied.
    """
    try:
        return torch.ops.aten.gelu_(x, approximate=approximate)
    except AttributeError:
        return x.copy_(F.gelu(x, approximate=approximate))


def multiply_all_(tensors: Sequence[Tensor], factors: Sequence[Tensor]) -> None:
    """Multiply each of ``tensors`` in place by its factor of the same shape.

    PyTorch's optimizers use this call, which has no public name: one kernel for all tensors on a GPU, in place of one
    for each. Where it is missing the tensors are multiplied one by one.
    """
    try:
        # PyTorch does not list this call among the names that it exports.
        torch._foreach_mul_(list(tensors), list(factors))  # pyright: ignore[reportPrivateImportUsage]
    except AttributeError:
        for tensor, factor in zip(tensors, factors):
            tensor.mul_(factor)


def has_hooks(module: nn.Module) -> bool:
    """Return whether anything in ``module`` has a forward hook, which may keep a map or change it.

    A module has no public list of its hooks. Where the private ones are missing the answer is yes: nothing is then
    overwritten or merged on the fly.
    """
    try:
        return any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())
    except AttributeError:
        return True
