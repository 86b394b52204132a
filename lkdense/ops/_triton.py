"""Depthwise convolution on the tensor cores of a GPU, in Triton.

For one channel, a row of the kernel is a banded Toeplitz matrix: a tile of image rows times that matrix is the row's
share of a tile of output. Rows of all images of the batch form the tall side of the product, so that a band matrix,
which is built once a channel, serves the whole batch. The weight gradient is the same product with the image on the
other side, summed along its diagonals. The band lies along the kernel's longer side, where it wastes the fewest
products. Sums are in float32; products of float32 are not rounded to TF32.
"""

import inspect
import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ._autograd import register_gradients

try:
    import triton
    import triton.language as tl
except ImportError as error:
    triton: Any = None
    MISSING = f'triton cannot be imported: {error}'

# Tensor cores take bfloat16 from this compute capability on.
LEAST_CAPABILITY = (8, 0)
# The columns before the tile begin at a multiple of 16 bytes, for wide loads.
ALIGNMENT = 8
# A matrix product has at least this extent.
LEAST_DOT = 16


def refusal(x: Tensor, weight: Tensor) -> str | None:
    """Return why these tensors cannot be run, or None."""
    if triton is None:
        return MISSING
    if x.dtype == torch.float64:
        return 'it sums in float32, and x is float64'
    if INTERPRETED:
        return None
    if x.device.type != 'cuda':
        return f'made for GPUs, and x is on {x.device}; TRITON_INTERPRET=1 runs it on a CPU, slowly'
    if torch.cuda.get_device_capability(x.device) < LEAST_CAPABILITY:
        return f'needs compute capability {LEAST_CAPABILITY}, got {torch.cuda.get_device_capability(x.device)}'
    return None


def run(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve ``x`` ``[N, C, H, W]`` with ``weight`` ``[C, 1, kh, kw]``; the output has ``x``'s memory format."""
    return banded_conv(x, weight, bias)


@torch.library.custom_op('lkdense::banded_conv', mutates_args=())
def banded_conv(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve ``x`` ``[N, C, H, W]`` with ``weight`` ``[C, 1, kh, kw]``."""
    y = torch.empty_like(x)
    if not x.numel():
        return y

    # A program works on one channel, so neighbours within a channel have to lie together.
    image, weight = _operand(x), _operand(weight)
    output = torch.empty_like(image)
    along_height = weight.shape[2] > weight.shape[3]
    if along_height:
        image, output, weight = image.mT, output.mT, weight.mT

    band = Band(image.shape[3], weight.shape[3])
    batch, channels, rows, columns = image.shape

    def grid(tile):
        return triton.cdiv(batch * rows, tile['TILE']) * triton.cdiv(columns, band.width), channels

    with _on_device_of(x):
        _conv_kernel[grid](
            image,
            band.matrices(weight[:, 0]),
            None if bias is None else bias.contiguous(),
            output,
            batch,
            rows,
            columns,
            *image.stride(),
            taps=weight.shape[2],
            LEFT=band.left,
            DEPTH=band.depth,
            WIDTH=band.width,
            CHUNK=band.chunk,
            SIZE=(batch * rows).bit_length(),
        )

    return y.copy_(output.mT if along_height else output)


@torch.library.custom_op('lkdense::banded_weight_gradient', mutates_args=())
def banded_weight_gradient(x: Tensor, grad: Tensor, height: int, width: int) -> Tensor:
    """Return a kernel's gradient ``[C, 1, height, width]`` from input and output gradient ``[N, C, H, W]``."""
    image, grad = _operand(x), _operand(grad)
    if height > width:
        image, grad = image.mT, grad.mT

    taps, length = sorted((height, width))
    band = Band(image.shape[3], length)
    batch, channels, rows, columns = image.shape
    products = x.new_zeros(channels, taps, band.width, band.depth, dtype=torch.float32)
    if x.numel():
        with _on_device_of(x):
            _weight_gradient_kernel[channels * taps, band.depth // band.chunk](
                image,
                grad,
                products,
                batch,
                rows,
                columns,
                *image.stride(),
                taps=taps,
                LEFT=band.left,
                DEPTH=band.depth,
                WIDTH=band.width,
                CHUNK=band.chunk,
                SIZE=(batch * rows).bit_length(),
            )

    result = band.diagonal_sums(products, length)
    return (result.mT if height > width else result).unsqueeze(1).to(x.dtype).contiguous()


@banded_conv.register_fake
def _(x, weight, bias):
    return torch.empty_like(x)


@banded_weight_gradient.register_fake
def _(x, grad, height, width):
    return x.new_empty(x.shape[1], 1, height, width)


register_gradients(banded_conv, banded_weight_gradient)


class Band:
    """The Toeplitz matrix of a kernel row: ``depth`` input columns, the first ``left`` before the tile, to ``width``.

    Args:
        columns: the columns of the image.
        length: the taps of the kernel row, odd.
    """

    def __init__(self, columns: int, length: int):
        self.width = 2 * LEAST_DOT if columns > LEAST_DOT else LEAST_DOT
        self.left = _round_up(length // 2, ALIGNMENT)
        self.depth = _round_up(self.left + self.width + length // 2, LEAST_DOT)
        self.chunk = next(chunk for chunk in (64, 32, LEAST_DOT) if self.depth % chunk == 0)
        # The row of the first tap in the first column of the matrix.
        self.first = self.left - length // 2

    def matrices(self, rows: Tensor) -> Tensor:
        """Return the matrices ``[C, taps, depth, width]`` of kernel rows ``[C, taps, length]``."""
        before = self.width - 1 + self.first
        padded = F.pad(rows, (before, self.depth + self.width - 1 - before - rows.shape[-1]))
        return padded.unfold(-1, self.width, 1).flip(-1).contiguous()

    def diagonal_sums(self, products: Tensor, length: int) -> Tensor:
        """Return ``[C, taps, length]``: the sums along the diagonals of ``[C, taps, width, depth]`` that hold taps."""
        channels, taps = products.shape[:2]
        matrix = self.width * self.depth
        diagonals = products.as_strided(
            (channels, taps, length, self.width), (taps * matrix, matrix, 1, self.depth + 1), self.first
        )
        return diagonals.sum(-1)


def _on_device_of(x: Tensor) -> AbstractContextManager:
    # Triton starts its kernels on the current GPU.
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()


def _operand(x: Tensor) -> Tensor:
    # The interpreter computes with NumPy, which has no bfloat16.
    wide = INTERPRETED and x.dtype == torch.bfloat16
    return (x.float() if wide else x).contiguous()


def _round_up(value: int, step: int) -> int:
    return step * math.ceil(value / step)


if triton:
    INTERPRETED = triton.knobs.runtime.interpret if hasattr(triton, 'knobs') else False
    # Rows of a program, warps, stages of the pipeline.
    TILES = [
        triton.Config(dict(TILE=rows), num_warps=warps, num_stages=stages)
        for rows, warps, stages in ((64, 4, 3), (32, 2, 3), (128, 4, 3), (128, 8, 3), (256, 8, 2))
    ]

    def _tuned(kernel):
        # The interpreter has no clock.
        tiles = TILES[:1] if INTERPRETED else TILES
        # Old versions of Triton cannot keep their measurements.
        options = {'cache_results': True} if 'cache_results' in inspect.signature(triton.autotune).parameters else {}
        return triton.autotune(tiles, key=['taps', 'DEPTH', 'WIDTH', 'SIZE'], **options)(triton.jit(kernel))

    @_tuned
    def _conv_kernel(
        x,
        bands,
        bias,
        y,
        batch,
        rows,
        columns,
        stride_batch,
        stride_channel,
        stride_row,
        stride_column,
        taps,
        LEFT: tl.constexpr,
        DEPTH: tl.constexpr,
        WIDTH: tl.constexpr,
        CHUNK: tl.constexpr,
        SIZE: tl.constexpr,
        TILE: tl.constexpr,
    ):
        channel = tl.program_id(1).to(tl.int64)
        tiles = tl.cdiv(columns, WIDTH)
        first = tl.program_id(0) % tiles * WIDTH
        stacked = tl.program_id(0) // tiles * TILE + tl.arange(0, TILE)
        row = stacked % rows
        start = channel * stride_channel + (stacked // rows).to(tl.int64) * stride_batch
        along, across = tl.arange(0, CHUNK), tl.arange(0, WIDTH)

        total = tl.zeros((TILE, WIDTH), tl.float32)
        # Taps beyond the image meet zeros only.
        for tap in range(tl.maximum(0, taps // 2 - rows + 1), tl.minimum(taps, taps // 2 + rows)):
            source = row + tap - taps // 2
            inside = (stacked < batch * rows) & (source >= 0) & (source < rows)

            for chunk in range(0, DEPTH, CHUNK):
                column = first - LEFT + chunk + along
                image = tl.load(
                    x + (start + source * stride_row)[:, None] + (column * stride_column)[None, :],
                    mask=inside[:, None] & ((column >= 0) & (column < columns))[None, :],
                    other=0.0,
                )
                band = tl.load(
                    bands + ((channel * taps + tap) * DEPTH + chunk + along)[:, None] * WIDTH + across[None, :]
                )
                total = tl.dot(image, band, total, input_precision='ieee')

        if bias is not None:
            total += tl.load(bias + channel).to(tl.float32)
        column = first + across
        tl.store(
            y + (start + row * stride_row)[:, None] + (column * stride_column)[None, :],
            total.to(y.dtype.element_ty),
            mask=(stacked < batch * rows)[:, None] & (column < columns)[None, :],
        )

    @_tuned
    def _weight_gradient_kernel(
        x,
        grad,
        products,
        batch,
        rows,
        columns,
        stride_batch,
        stride_channel,
        stride_row,
        stride_column,
        taps,
        LEFT: tl.constexpr,
        DEPTH: tl.constexpr,
        WIDTH: tl.constexpr,
        CHUNK: tl.constexpr,
        SIZE: tl.constexpr,
        TILE: tl.constexpr,
    ):
        channel, tap = (tl.program_id(0) // taps).to(tl.int64), tl.program_id(0) % taps
        along, across = tl.program_id(1) * CHUNK + tl.arange(0, CHUNK), tl.arange(0, WIDTH)

        total = tl.zeros((WIDTH, CHUNK), tl.float32)
        for block in range(0, batch * rows, TILE):
            stacked = block + tl.arange(0, TILE)
            row = stacked % rows
            source = row + tap - taps // 2
            start = channel * stride_channel + (stacked // rows).to(tl.int64) * stride_batch
            inside = (stacked < batch * rows) & (source >= 0) & (source < rows)

            for first in range(0, columns, WIDTH):
                column = first - LEFT + along
                image = tl.load(
                    x + (start + source * stride_row)[:, None] + (column * stride_column)[None, :],
                    mask=inside[:, None] & ((column >= 0) & (column < columns))[None, :],
                    other=0.0,
                )
                column = first + across
                error = tl.load(
                    grad + (start + row * stride_row)[:, None] + (column * stride_column)[None, :],
                    mask=inside[:, None] & (column < columns)[None, :],
                    other=0.0,
                )
                total = tl.dot(tl.trans(error), image, total, input_precision='ieee')

        matrix = products + tl.program_id(0).to(tl.int64) * WIDTH * DEPTH
        tl.store(matrix + across[:, None] * DEPTH + along[None, :], total)
