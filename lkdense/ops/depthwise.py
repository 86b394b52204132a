"""Depthwise 2-D convolution with stride 1 and 'same' padding: one function, a choice of backends."""

import os
from types import ModuleType

import torch
from torch import Tensor

from . import _cpu, _eager, _fft, _triton
from ._cost_model import is_one_kernel_cheaper, preference
from ._fft import spectral_strips
from ._torch_internals import is_transformed

# A backend is a module with refusal(x, weight) -> str | None and run(x, weight, bias) -> Tensor. Eager refuses nothing.
BACKENDS: dict[str, ModuleType] = {'triton': _triton, 'cpu': _cpu, 'fft': _fft, 'eager': _eager}
# An empty variable counts as unset.
FORCED = os.environ.get('LKDENSE_BACKEND') or None


def depthwise_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, backend: str | None = None) -> Tensor:
    """Convolve every channel of ``x`` with its own kernel; the output has the shape of ``x``.

    Args:
        x: ``[N, C, H, W]`` in any memory format; float64, float32, float16 or bfloat16.
        weight: ``[C, 1, kh, kw]`` with odd ``kh`` and ``kw``, which may exceed the image.
        bias: ``[C]``.
        backend: a name of ``BACKENDS``, which then runs or raises; by default what the environment variable
            ``LKDENSE_BACKEND`` named at import, else the one that suits these tensors best.

    Raises:
        ValueError: shapes or dtypes that do not fit, an unknown backend, or one that refuses, with its reason.

    Example:
        >>> import torch
        >>> from lkdense.ops import depthwise_conv2d
        >>> depthwise_conv2d(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 51, 51)).shape
        torch.Size([1, 1, 3, 3])
        >>> depthwise_conv2d(torch.ones(1, 1, 2, 3), torch.ones(1, 1, 1, 3), backend='eager')
        tensor([[[[2., 3., 2.],
                  [2., 3., 2.]]]])
    """
    x, (weight, bias) = _autocast(x, weight, bias)
    _check(x, weight, bias)
    return BACKENDS[chosen_backend(x, weight, backend)].run(x, weight, bias)


def strips_conv2d(
    x: Tensor, vertical: Tensor, horizontal: Tensor, bias: Tensor | None = None, *, backend: str | None = None
) -> Tensor:
    """Add up the convolutions of ``x`` with two strips: as one large kernel where that is cheaper.

    Args:
        x: ``[N, C, H, W]``, as in :func:`depthwise_conv2d`.
        vertical: ``[C, 1, K, n]``.
        horizontal: ``[C, 1, n, K]``.
        bias: ``[C]``.
        backend: as in :func:`depthwise_conv2d`; ``fft`` always makes it one kernel when no gradients are wanted.

    Raises:
        ValueError: as :func:`depthwise_conv2d`.

    Example:
        >>> import torch
        >>> from lkdense.ops import strips_conv2d
        >>> x = torch.zeros(1, 1, 3, 3)
        >>> x[..., 1, 1] = 1
        >>> strips_conv2d(x, torch.ones(1, 1, 3, 1), torch.ones(1, 1, 1, 3), backend='eager')
        tensor([[[[0., 1., 0.],
                  [1., 2., 1.],
                  [0., 1., 0.]]]])
    """
    x, (vertical, horizontal, bias) = _autocast(x, vertical, horizontal, bias)
    _check(x, vertical, bias)
    _check(x, horizontal, None)

    backend = backend or FORCED
    as_one = is_one_kernel_cheaper(x, vertical, horizontal) if backend is None else backend == 'fft'
    if as_one and not (torch.is_grad_enabled() or is_transformed()):
        return spectral_strips(x, vertical, horizontal, bias)

    total = depthwise_conv2d(x, vertical, bias, backend=backend)
    return total.add_(depthwise_conv2d(x, horizontal, backend=backend))


def chosen_backend(x: Tensor, weight: Tensor, backend: str | None = None) -> str:
    """Return the name of the backend that :func:`depthwise_conv2d` takes for these tensors.

    Raises:
        ValueError: an unknown backend, or none of those asked takes these tensors; with the reason of each.

    Example:
        >>> import torch
        >>> from lkdense.ops import chosen_backend
        >>> chosen_backend(torch.ones(1, 2, 128, 128), torch.ones(2, 1, 51, 51))
        'fft'
        >>> chosen_backend(torch.ones(1, 2, 128, 128), torch.ones(2, 1, 3, 3))
        'eager'
    """
    backend = backend or FORCED
    if backend is not None and backend not in BACKENDS:
        raise ValueError(f'backend must be one of {", ".join(BACKENDS)}, got {backend!r}')

    reasons = {}
    for name in preference(x, weight) if backend is None else (backend,):
        reason = _refusal(name, x, weight)
        if reason is None:
            return name
        reasons[name] = reason

    listed = '; '.join(f'{name}: {reason}' for name, reason in reasons.items())
    raise ValueError(f'cannot run x {tuple(x.shape)} {x.dtype} with weight {tuple(weight.shape)}: {listed}')


def refusals(x: Tensor, weight: Tensor) -> dict[str, str]:
    """Return the names of the backends that cannot run these tensors, each with its reason.

    Example:
        >>> import torch
        >>> from lkdense.ops import refusals
        >>> x, weight = torch.ones(1, 2, 8, 8).double(), torch.ones(2, 1, 5, 5).double()
        >>> list(refusals(x, weight))
        ['triton']
    """
    reasons = {name: _refusal(name, x, weight) for name in BACKENDS}
    return {name: reason for name, reason in reasons.items() if reason is not None}


def _refusal(name: str, x: Tensor, weight: Tensor) -> str | None:
    if name != 'eager' and is_transformed():
        return "torch.func and forward-mode differentiation know PyTorch's own operators only"
    return BACKENDS[name].refusal(x, weight)


def _autocast(x: Tensor, *others: Tensor | None) -> tuple[Tensor, list]:
    """Return all tensors in the dtype that autocast asks for, if it is on."""
    device = x.device.type
    is_active = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    if not is_active or x.dtype == torch.float64:
        return x, list(others)

    dtype = torch.get_autocast_dtype(device)
    return x.to(dtype), [None if tensor is None else tensor.to(dtype) for tensor in others]


def _check(x: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    if x.dim() != 4:
        raise ValueError(f'x must be [N, C, H, W], got shape {tuple(x.shape)}')

    channels = x.shape[1]
    if weight.dim() != 4 or weight.shape[:2] != (channels, 1):
        raise ValueError(f'weight must be [{channels}, 1, kh, kw] for x {tuple(x.shape)}, got {tuple(weight.shape)}')
    if weight.shape[2] % 2 == 0 or weight.shape[3] % 2 == 0:
        raise ValueError(f'kernel sizes must be odd, got {tuple(weight.shape[2:])}')
    if bias is not None and bias.shape != (channels,):
        raise ValueError(f'bias must be [{channels}], got {tuple(bias.shape)}')

    if not x.is_floating_point():
        raise ValueError(f'x must be a floating-point tensor, got {x.dtype}')
    if x.dtype != weight.dtype:
        raise ValueError(f'x and weight must have one dtype, got {x.dtype} and {weight.dtype}')
    if bias is not None and bias.dtype != x.dtype:
        raise ValueError(f'x and bias must have one dtype, got {x.dtype} and {bias.dtype}')
