"""A plain convolution on a GPU, in Triton, to measure against: a multiply-add for each tap and pixel."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from lkdense.ops import BACKENDS

TILE = (16, 32)  # rows and columns of a program


def refusal(x: Tensor, weight: Tensor) -> str | None:
    """Return why these tensors cannot be run, or None: what stops the other Triton kernels stops these."""
    if triton.knobs.runtime.interpret and x.dtype == torch.bfloat16:
        return 'the interpreter has no bfloat16'
    return BACKENDS['triton'].refusal(x, weight)


class Conv(torch.autograd.Function):
    """Depthwise convolution of ``[N, C, H, W]`` with ``[C, 1, kh, kw]``, stride 1 and 'same' padding."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor) -> Tensor:
        """Convolve."""
        ctx.save_for_backward(x, weight)
        return convolve(x, weight)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Return the gradients of both."""
        x, weight = ctx.saved_tensors
        return (
            convolve(grad, weight.flip(2, 3)) if ctx.needs_input_grad[0] else None,
            weight_gradient(x, grad, *weight.shape[2:]) if ctx.needs_input_grad[1] else None,
        )


def convolve(x: Tensor, weight: Tensor) -> Tensor:
    """Convolve ``[N, C, H, W]``, whose memory format the output has, with ``[C, 1, kh, kw]``."""
    y = torch.empty_like(x)
    batch, channels, rows, columns = x.shape
    grid = (triton.cdiv(rows, TILE[0]) * triton.cdiv(columns, TILE[1]), channels, batch)
    _conv[grid](x, weight.contiguous(), y, rows, columns, *x.stride(), *weight.shape[2:], *TILE)
    return y


def weight_gradient(x: Tensor, grad: Tensor, height: int, width: int) -> Tensor:
    """Return a kernel's gradient ``[C, 1, height, width]`` from input and output gradient ``[N, C, H, W]``."""
    batch, channels, rows, columns = x.shape
    result = x.new_empty(channels, 1, height, width)
    _weight_gradient[height * width, channels](
        x, grad, result, batch, rows, columns, *x.stride(), *grad.stride(), height, width, *TILE
    )
    return result


@triton.jit
def _conv(
    x,
    weight,
    y,
    rows,
    columns,
    stride_n,
    stride_c,
    stride_h,
    stride_w,
    height,
    width,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    tiles = tl.cdiv(columns, COLUMNS)
    i = (tl.program_id(0) // tiles * ROWS + tl.arange(0, ROWS))[:, None]
    j = (tl.program_id(0) % tiles * COLUMNS + tl.arange(0, COLUMNS))[None, :]
    channel = tl.program_id(1)
    plane = tl.program_id(2) * stride_n + channel * stride_c

    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for u in range(height):
        for v in range(width):
            row, column = i + u - height // 2, j + v - width // 2
            inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
            pixels = tl.load(x + plane + row * stride_h + column * stride_w, mask=inside, other=0.0)
            tap = tl.load(weight + (channel * height + u) * width + v)
            total += pixels.to(tl.float32) * tap.to(tl.float32)

    target = plane + i * stride_h + j * stride_w
    tl.store(y + target, total.to(y.dtype.element_ty), mask=(i < rows) & (j < columns))


@triton.jit
def _weight_gradient(
    x,
    grad,
    result,
    batch,
    rows,
    columns,
    stride_n,
    stride_c,
    stride_h,
    stride_w,
    grad_n,
    grad_c,
    grad_h,
    grad_w,
    height,
    width,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    tap, channel = tl.program_id(0), tl.program_id(1)
    down, right = tap // width - height // 2, tap % width - width // 2

    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for n in range(batch):
        image = x + n * stride_n + channel * stride_c
        error = grad + n * grad_n + channel * grad_c
        for top in range(0, rows, ROWS):
            for left in range(0, columns, COLUMNS):
                i, j = top + tl.arange(0, ROWS)[:, None], left + tl.arange(0, COLUMNS)[None, :]
                row, column = i + down, j + right
                inside = (i < rows) & (j < columns) & (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
                pixels = tl.load(image + row * stride_h + column * stride_w, mask=inside, other=0.0)
                errors = tl.load(error + i * grad_h + j * grad_w, mask=inside, other=0.0)
                total += pixels.to(tl.float32) * errors.to(tl.float32)

    tl.store(result + channel * height * width + tap, tl.sum(total).to(result.dtype.element_ty))
