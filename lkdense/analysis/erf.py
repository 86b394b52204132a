"""Effective receptive field: how much each input pixel moves the middle, or another place, of a feature map.

As RepLKNet's authors measure it: "Scaling Up Your Kernels to 31x31: Revisiting Large Kernel Design in CNNs", CVPR 2022,
https://arxiv.org/abs/2203.06717; the idea is of "Understanding the Effective Receptive Field in Deep Convolutional
Neural Networks", NeurIPS 2016, https://arxiv.org/abs/1701.04128.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn

# the shares of all contribution for which the papers give the area
THRESHOLDS = (0.2, 0.3, 0.5, 0.99)
# maps side by side whose texts a page still shows legibly
MOST_COLUMNS = 4


class AreaRatio(NamedTuple):
    """The smallest centred square that holds a share of the contribution: its side in pixels, its share of the area."""

    threshold: float
    side: int
    ratio: float


class Erf(NamedTuple):
    """Contribution ``[H, W]`` of each pixel: what raises the map, as the authors count, or moves it at all.

    That is the positive part of the gradient, ``relu``, or its absolute value, ``signed``.
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
    """Return the contribution ``[H, W]`` of each pixel to one place of a map, a mean over images.

    Args:
        model: it is run in eval mode and left in its own.
        images: tensors ``[N, 3, H, W]``, all of one size, as the model wants them.
        output: which map, where ``forward`` gives several.
        signed: count what lowers the map as much as what raises it; the authors count what raises it.
        position: the place, as shares of height and width; the middle, as the authors have it.
        forward: ``(model, image)`` to a map ``[N, C, h, w]``, or a sequence of them; by default ``model(image)``.

    Raises:
        ValueError: no images, or images of several sizes, or a position outside.
    """
    found = compute_both(model, images, output, position, forward)
    return found.signed if signed else found.relu


def compute_both(
    model: nn.Module,
    images: Iterable[Tensor],
    output: int = -1,
    position: tuple[float, float] = (0.5, 0.5),
    forward: Callable[[nn.Module, Tensor], object] = nn.Module.__call__,
) -> Erf:
    """Return what :func:`compute_erf` does, both ways of counting from the same gradients."""
    if not all(0 <= share < 1 for share in position):
        raise ValueError(f'position must be two shares in [0, 1), got {position}')

    training = model.training
    total, count = None, 0
    model.eval()

    try:
        for batch in images:
            gradient = _gradient(model, batch, output, position, forward)
            found = torch.stack([gradient.relu().sum((0, 1)), gradient.abs().sum((0, 1))])
            if total is not None and total.shape != found.shape:
                raise ValueError(
                    f'images must be of one size, got {tuple(total.shape[1:])} and {tuple(found.shape[1:])}'
                )
            total = found if total is None else total + found
            count += len(batch)
    finally:
        model.train(training)

    if total is None:
        raise ValueError('a receptive field needs at least one image, got none')

    return Erf(*(total / count).cpu().numpy())


def stage_map(model: nn.Module, image: Tensor, stage: int | str) -> Tensor:
    """Return the map ``[N, C, h, w]`` of a stage of a segmentor, detector, classifier or backbone.

    Args:
        model: any of them.
        image: ``[N, 3, H, W]``.
        stage: 1 to 4, of the backbone; or ``head``, the scores that the decode head of a segmentor gives.

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
    """Return the squares that hold the given shares of log10(contribution + 1), as the authors do.

    Args:
        contribution: ``[H, W]``, not negative.
        thresholds: each in (0, 1).

    Raises:
        ValueError: a threshold out of range, or a contribution that is nowhere positive.
    """
    if not all(0 < threshold < 1 for threshold in thresholds):
        raise ValueError(f'thresholds must be in (0, 1), got {tuple(thresholds)}')

    scores = np.log10(contribution + 1)
    if not scores.sum() > 0:
        raise ValueError('no pixel contributes: the gradient is zero everywhere')

    height, width = scores.shape
    middle = height // 2, width // 2
    # of the squares of 1, 3, 5, ... pixels around the middle
    shares = [
        scores[max(middle[0] - i, 0) : middle[0] + i + 1, max(middle[1] - i, 0) : middle[1] + i + 1].sum()
        for i in range(max(middle) + 1)
    ] / scores.sum()
    result = []

    for threshold in thresholds:
        side = 2 * int(np.argmax(shares > threshold)) + 1
        ratio = min(side, height) * min(side, width) / (height * width)
        # of an even number of pixels the last square reaches over the edge by one
        result.append(AreaRatio(threshold, min(side, max(height, width)), ratio))

    return result


def plot_erf(contributions: Mapping[str, NDArray], columns: int | None = None) -> Figure:
    """Draw heat maps of log10(contribution + 1) over its own largest value, on one colour scale.

    Args:
        contributions: ``[H, W]`` each, by the title, which may be of several lines.
        columns: maps side by side before the next row begins; by default four at most, in rows of like length.
    """
    columns = columns or -(-len(contributions) // -(-len(contributions) // MOST_COLUMNS))
    rows = -(-len(contributions) // columns)
    height = 3.5 + 0.17 * max(name.count('\n') for name in contributions)
    size = 2.6 * columns + 1, height * rows
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout='constrained')

    for axis in axes.flat:
        axis.axis('off')

    for axis, (name, contribution) in zip(axes.flat, contributions.items()):
        scores = np.log10(contribution + 1)
        picture = axis.imshow(scores / scores.max(), vmin=0, vmax=1, cmap='viridis')
        areas = [f'{a.threshold:.0%} in {a.side} px, {a.ratio:.1%} of the area' for a in area_ratios(contribution)]
        axis.axis('on')
        axis.set(xticks=[], yticks=[])
        axis.set_title(name, fontsize=10)
        axis.set_xlabel('\n'.join(areas), fontsize=9)

    figure.colorbar(picture, ax=axes, shrink=0.7, label='contribution, logarithmic, over the largest')
    return figure


def _gradient(model: nn.Module, batch: Tensor, output: int, position: tuple[float, float], forward: Callable) -> Tensor:
    """Return the gradient ``[N, C, H, W]`` of the positive part of one place of the map, over its channels."""
    batch = batch.detach().requires_grad_()
    maps = forward(model, batch)
    chosen = maps[output] if isinstance(maps, (tuple, list)) else maps
    row, column = (int(share * size) for share, size in zip(position, chosen.shape[2:]))
    return torch.autograd.grad(chosen[:, :, row, column].relu().sum(), batch)[0]
