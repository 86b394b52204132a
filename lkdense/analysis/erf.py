"""Effective receptive field: how much each input pixel moves the middle, or another place, of a feature map.

It is measured as RepLKNet's authors do: "Scaling Up Your Kernels to 31x31: Revisiting Large Kernel Design in CNNs",
CVPR 2022, https://arxiv.org/abs/2203.06717. The idea is from "Understanding the Effective Receptive Field in Deep
Convolutional Neural Networks", NeurIPS 2016, https://arxiv.org/abs/1701.04128.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn

# The papers give the area that holds each of these shares of the contribution.
THRESHOLDS = (0.2, 0.3, 0.5, 0.99)
# A page shows the texts of so many maps side by side legibly.
MOST_COLUMNS = 4


class AreaRatio(NamedTuple):
    """The smallest centred square that holds a share of the contribution.

    ``threshold`` is that share, ``side`` is in pixels, and ``ratio`` is the square's share of the image.
    """

    threshold: float
    side: int
    ratio: float


class Erf(NamedTuple):
    """The contribution ``[H, W]`` of each pixel, counted in two ways.

    ``relu`` is the positive part of the gradient, which raises the map; the authors count only that. ``signed`` is its
    absolute value, which also counts what lowers the map.
    """

    relu: NDArray
    signed: NDArray


def compute_erf(
    model: nn.Module,
    images: Iterable[Tensor],
    output: int = -1,
    signed: bool = False,
    position: tuple[float, float] = (0.5, 0.5),
    forward: Callable[[nn.Module, Tensor], object] = nn.Module.__call__,
) -> NDArray:
    """Return the contribution ``[H, W]`` of each pixel to one place of a map, averaged over images.

    >>> conv = nn.Conv2d(3, 1, kernel_size=5, padding=2, bias=False)
    >>> _ = nn.init.ones_(conv.weight)
    >>> contribution = compute_erf(conv, [torch.rand(1, 3, 21, 21)])
    >>> np.count_nonzero(contribution)  # the kernel's 5x5 pixels
    25

    Args:
        model: runs in eval mode and is put back into its own mode afterwards.
        images: tensors ``[N, 3, H, W]``, all of one size, preprocessed for the model.
        output: the index of the map, if ``forward`` returns several.
        signed: count what lowers the map as much as what raises it; the authors count only what raises it.
        position: the place, as shares of height and width; by default the middle, as in the authors' work.
        forward: ``(model, image)`` to a map ``[N, C, h, w]``, or a sequence of them; by default ``model(image)``.

    Raises:
        ValueError: there are no images, they differ in size, or the position is outside of the map.
    """
    erf = compute_both(model, images, output, position, forward)
    return erf.signed if signed else erf.relu


def compute_both(
    model: nn.Module,
    images: Iterable[Tensor],
    output: int = -1,
    position: tuple[float, float] = (0.5, 0.5),
    forward: Callable[[nn.Module, Tensor], object] = nn.Module.__call__,
) -> Erf:
    """Return the contributions of :func:`compute_erf`, counted in both ways from the same gradients.

    >>> erf = compute_both(nn.Conv2d(3, 4, kernel_size=3, padding=1), [torch.rand(1, 3, 9, 9)])
    >>> bool((erf.signed >= erf.relu).all())
    True
    """
    if not all(0 <= share < 1 for share in position):
        raise ValueError(f'position must be two shares in [0, 1), got {position}')

    training = model.training
    model.eval()
    try:
        total, count = _sum_contributions(model, images, output, position, forward)
    finally:
        model.train(training)

    if total is None:
        raise ValueError('a receptive field needs at least one image, got none')
    return Erf(*(total / count).cpu().numpy())


def stage_map(model: nn.Module, image: Tensor, stage: int | str) -> Tensor:
    """Return the map ``[N, C, h, w]`` of a stage of a segmentor, detector, classifier or backbone.

    >>> from lkdense import SLaK
    >>> stage_map(SLaK('pico'), torch.rand(1, 3, 64, 64), stage=3).shape[2:]  # stride 16
    torch.Size([4, 4])

    Args:
        model: any of these.
        image: ``[N, 3, H, W]``.
        stage: 1 to 4 for a stage of the backbone, or ``head`` for the scores of a segmentor's decode head.

    Raises:
        ValueError: the backbone does not return that stage, or there is no decode head.
    """
    if stage == 'head':
        if not hasattr(model, 'decode_head'):
            raise ValueError(f'the map of a head is that of a segmentor; {type(model).__name__} has no decode_head')
        return model(image, mode='tensor')

    backbone = getattr(model, 'backbone', model)
    maps = backbone(image)
    stages = [index + 1 for index in getattr(backbone, 'out_indices', range(len(maps)))]
    if stage not in stages:
        raise ValueError(f'stage must be one that the backbone returns, of {stages} (its out_indices), got {stage}')
    return maps[stages.index(stage)]


def area_ratios(contribution: NDArray, thresholds: Sequence[float] = THRESHOLDS) -> list[AreaRatio]:
    """Return the smallest squares that hold the given shares of log10(contribution + 1), as the authors do.

    >>> contribution = np.zeros((10, 10))
    >>> contribution[4:7, 4:7] = 1
    >>> area_ratios(contribution, thresholds=[0.99])
    [AreaRatio(threshold=0.99, side=3, ratio=0.09)]

    Args:
        contribution: ``[H, W]``, not negative.
        thresholds: each in (0, 1).

    Raises:
        ValueError: a threshold is out of range, or no pixel contributes.
    """
    if not all(0 < threshold < 1 for threshold in thresholds):
        raise ValueError(f'thresholds must be in (0, 1), got {tuple(thresholds)}')
    scores = np.log10(contribution + 1)
    if not scores.sum() > 0:
        raise ValueError('no pixel contributes: the gradient is zero everywhere')

    height, width = scores.shape
    shares = _square_sums(scores) / scores.sum()

    areas = []
    for threshold in thresholds:
        side = 2 * int(np.argmax(shares > threshold)) + 1
        ratio = min(side, height) * min(side, width) / (height * width)
        # If the number of pixels is even, the last square extends over the edge by one.
        areas.append(AreaRatio(threshold, min(side, max(height, width)), ratio))

    return areas


def plot_erf(contributions: Mapping[str, NDArray], columns: int | None = None) -> Figure:
    """Draw heat maps of log10(contribution + 1), each divided by its largest value, on one colour scale.

    >>> figure = plot_erf({'first': np.eye(9), 'second': np.ones((9, 9))})
    >>> [axes.get_title() for axes in figure.axes[:2]]
    ['first', 'second']

    Args:
        contributions: title of the map, of one or more lines, to the contribution ``[H, W]``.
        columns: maps side by side before the next row begins; by default four at most, in rows of similar length.
    """
    if columns is None:
        rows = math.ceil(len(contributions) / MOST_COLUMNS)
        columns = math.ceil(len(contributions) / rows)
    rows = math.ceil(len(contributions) / columns)

    height = 3.5 + 0.17 * max(title.count('\n') for title in contributions)
    size = 2.6 * columns + 1, height * rows
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, layout='constrained')
    for axes in grid.flat:
        axes.axis('off')

    for axes, (title, contribution) in zip(grid.flat, contributions.items()):
        scores = np.log10(contribution + 1)
        heat_map = axes.imshow(scores / scores.max(), vmin=0, vmax=1, cmap='viridis')
        areas = [f'{a.threshold:.0%} in {a.side} px, {a.ratio:.1%} of the area' for a in area_ratios(contribution)]
        axes.axis('on')
        axes.set(xticks=[], yticks=[])
        axes.set_title(title, fontsize=10)
        axes.set_xlabel('\n'.join(areas), fontsize=9)

    figure.colorbar(heat_map, ax=grid, shrink=0.7, label='contribution, logarithmic, over the largest')
    return figure


def _sum_contributions(
    model: nn.Module, images: Iterable[Tensor], output: int, position: tuple[float, float], forward: Callable
) -> tuple[Tensor | None, int]:
    """Return the sum ``[2, H, W]`` of the contributions, counted in both ways, and the number of images."""
    total, count = None, 0
    for batch in images:
        gradient = _gradient(model, batch, output, position, forward)
        contributions = torch.stack([gradient.relu().sum((0, 1)), gradient.abs().sum((0, 1))])
        if total is not None and total.shape != contributions.shape:
            sizes = tuple(total.shape[1:]), tuple(contributions.shape[1:])
            raise ValueError(f'images must be of one size, got {sizes[0]} and {sizes[1]}')
        total = contributions if total is None else total + contributions
        count += len(batch)

    return total, count


def _gradient(model: nn.Module, batch: Tensor, output: int, position: tuple[float, float], forward: Callable) -> Tensor:
    """Return the gradient ``[N, C, H, W]`` of the positive part of one place of the map, summed over its channels."""
    batch = batch.detach().requires_grad_()
    maps = forward(model, batch)
    chosen = maps[output] if isinstance(maps, (tuple, list)) else maps
    row, column = (int(share * size) for share, size in zip(position, chosen.shape[2:]))
    return torch.autograd.grad(chosen[:, :, row, column].relu().sum(), batch)[0]


def _square_sums(scores: NDArray) -> NDArray:
    """Return the sums over the squares of 1, 3, 5, ... pixels around the middle, up to the whole image."""
    height, width = scores.shape
    row, column = height // 2, width // 2

    sums = []
    for radius in range(max(row, column) + 1):
        rows = slice(max(row - radius, 0), row + radius + 1)
        columns = slice(max(column - radius, 0), column + radius + 1)
        sums.append(scores[rows, columns].sum())

    return np.array(sums)
