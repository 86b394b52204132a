"""Effective receptive field: how much each input pixel moves the middle, or another place, of a feature map.

As RepLKNet's authors measure it: "Scaling Up Your Kernels to 31x31: Revisiting Large Kernel Design in CNNs", CVPR 2022,
https://arxiv.org/abs/2203.06717; the idea is of "Understanding the Effective Receptive Field in Deep Convolutional
Neural Networks", NeurIPS 2016, https://arxiv.org/abs/1701.04128.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn

# the shares of all contribution for which the papers give the area
THRESHOLDS = (0.2, 0.3, 0.5, 0.99)


class AreaRatio(NamedTuple):
    """The smallest centred square that holds a share of the contribution: its side in pixels, its share of the area."""

    threshold: float
    side: int
    ratio: float


def compute_erf(
    model: nn.Module,
    images: Iterable[Tensor],
    output: int = -1,
    signed: bool = False,
    position: tuple[float, float] = (0.5, 0.5),
) -> NDArray:
    """Return the contribution ``[H, W]`` of each pixel to one place of a map, a mean over images.

    Args:
        model: gives a map ``[N, C, h, w]``, or a sequence of them; it is run in eval mode and left in its own.
        images: tensors ``[N, 3, H, W]``, all of one size, as the model wants them.
        output: which map, where there are several.
        signed: count what lowers the map as much as what raises it; the authors count what raises it.
        position: the place, as shares of height and width; the middle, as the authors have it.

    Raises:
        ValueError: no images, or images of several sizes, or a position outside.
    """
    if not all(0 <= share < 1 for share in position):
        raise ValueError(f'position must be two shares in [0, 1), got {position}')
    training = model.training
    total, count = None, 0
    model.eval()
    try:
        for batch in images:
            contribution = _contribution(model, batch, output, signed, position)
            if total is not None and total.shape != contribution.shape:
                raise ValueError(
                    f'images must be of one size, got {tuple(total.shape)} and {tuple(contribution.shape)}'
                )
            total = contribution if total is None else total + contribution
            count += len(batch)
    finally:
        model.train(training)
    if total is None:
        raise ValueError('a receptive field needs at least one image, got none')
    return (total / count).cpu().numpy()


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
        result.append(AreaRatio(threshold, side, min(side, height) * min(side, width) / (height * width)))
    return result


def plot_erf(contributions: Mapping[str, NDArray]) -> Figure:
    """Draw heat maps of log10(contribution + 1) over its own largest value, side by side on one colour scale."""
    figure, axes = plt.subplots(
        1, len(contributions), figsize=(4 * len(contributions) + 1, 4.8), squeeze=False, layout='constrained'
    )
    for axis, (name, contribution) in zip(axes[0], contributions.items()):
        scores = np.log10(contribution + 1)
        picture = axis.imshow(scores / scores.max(), vmin=0, vmax=1, cmap='viridis')
        areas = '\n'.join(f'{a.threshold:.0%} in {a.side} px, {a.ratio:.1%}' for a in area_ratios(contribution))
        axis.set(title=name.replace(', ', '\n'), xlabel=areas, xticks=[], yticks=[])
    figure.colorbar(picture, ax=axes, shrink=0.7, label='contribution, logarithmic, over the largest')
    return figure


def _contribution(model: nn.Module, batch: Tensor, output: int, signed: bool, position: tuple[float, float]) -> Tensor:
    batch = batch.detach().requires_grad_()
    maps = model(batch)
    chosen = maps[output] if isinstance(maps, (tuple, list)) else maps
    row, column = (int(share * size) for share, size in zip(position, chosen.shape[2:]))
    (gradient,) = torch.autograd.grad(chosen[:, :, row, column].relu().sum(), batch)
    return (gradient.abs() if signed else gradient.relu()).sum((0, 1))
