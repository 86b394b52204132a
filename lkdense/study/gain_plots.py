"""The figure of gains: downstream against upstream, in published results and in a study."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.transforms import Bbox, ScaledTranslation
from numpy.typing import NDArray

from .curves import Gain
from .plot_style import (
    GREY,
    INK,
    PALE,
    Label,
    LabelledPanel,
    add_title,
    create_panels,
    place_labels,
)
from .published import PublishedGain

# One panel has no room to name so many published points legibly.
CROWDED = 24
MARKERS = 'os^vPX'


def plot_gains(
    task: str,
    published: Sequence[PublishedGain],
    numbers: Mapping[str, int],
    measured: Sequence[Gain] = (),
    colors: Mapping[str, tuple] | None = None,
    share: bool = False,
) -> Figure:
    """Draw gains downstream against gains upstream; above the diagonal the dense task gains more.

    Args:
        task: segmentation or detection.
        published: gains of others, in one metric of this task; a line joins the kernels of a sweep.
        numbers: one for each sweep, under which a table names its source; the points link to the sources.
        measured: our own gains in this task.
        colors: one for each of our kernels.
        share: the gains are percent of the remaining error, not points.
    """
    crowd = _find_crowd([_published_point(gain, share) for gain in published])
    figure, grid = create_panels(1, 6.4, 5.8) if crowd is None else create_panels(2, 6.4, 5, columns=1)
    unit = 'percent of the remaining error' if share else 'points'

    for axes in grid:
        points, labels, lines = _draw_published(axes, published, numbers, share)
        our_labels = _draw_measured(axes, measured, colors)
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.axvline(0, color=GREY, linewidth=0.8)
        axes.axline((0, 0), slope=1, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
        axes.set(xlabel=f'gain in classification, {unit}', ylabel=f'gain in {task}, {unit}')

    # Both panels have the same points and labels, and differ in their limits.
    for label in our_labels:
        labels.append(label)
        points.append((label.x, label.y))
    _limit_to(grid[0], points)
    if crowd is not None:
        lines.append(_enlarge(*grid, crowd))

    _add_legend(figure, grid[0], measured)
    subtitle = 'over the smallest kernel; dashed: both gain the same, above it the dense task gains more'
    subtitle += '; bars: 95 % intervals, which may go on beyond the frame' if measured else '; all published by others'
    add_title(figure, f'{task} against classification', subtitle)

    # Each label stands in the panel that shows its point best.
    outside, inside = [], []
    for label in labels:
        enlarged = crowd is not None and crowd.contains(label.x, label.y)
        (inside if enlarged else outside).append(label)

    panels = []
    for axes, own_labels in zip(grid, (outside, inside)):
        panels.append(LabelledPanel(axes, own_labels, points, [*lines, *_reference_lines(axes)]))
    place_labels(figure, panels, size=8)

    return figure


def _draw_published(
    axes: Axes, published: Sequence[PublishedGain], numbers: Mapping[str, int], share: bool
) -> tuple[list[tuple[float, float]], list[Label], list]:
    """Draw the points of others; return them, their labels, and the lines that join them."""
    sweeps = {}
    for gain in published:
        sweeps.setdefault((gain.sweep, gain.data), []).append(gain)

    points, texts, lines = [], {}, []
    for (sweep, data), gains in sweeps.items():
        sweep_points = [_published_point(gain, share) for gain in gains]
        for gain, point in zip(gains, sweep_points):
            _draw_published_point(axes, gain, point)
        points += sweep_points

        # The name of the data set may be followed by a variant of the sweep.
        variant = data.partition(', ')[2]
        text = f'{numbers[sweep]}, {variant}' if variant else f'{numbers[sweep]}'
        if len(gains) > 1:
            line = [(0, 0), *sweep_points]
            axes.plot(*np.transpose(line), color=PALE, linewidth=1, zorder=1.2)
            lines.append(line)
            text += '' if variant else f' {sweep}'

        # Sweeps that end at the same point share a label.
        texts.setdefault(sweep_points[-1], []).append(text)

    labels = [Label(*point, ' and '.join(words), GREY) for point, words in texts.items()]
    return points, labels, lines


def _draw_published_point(axes: Axes, gain: PublishedGain, point: tuple[float, float]) -> None:
    """Draw a disc where only the kernel differs, else a diamond, hollow if unverified; it links to its source."""
    differs_in_kernel = gain.differs == 'kernel'
    style = dict(s=26, marker='o') if differs_in_kernel else dict(s=20, marker='D')
    face = '#555555' if differs_in_kernel else '#bbbbbb'
    if not gain.verified:
        face = 'white'

    x, y = point
    dot = axes.scatter([x], [y], c=face, edgecolors='#555555', linewidths=0.9, zorder=4, **style)
    dot.set_urls([gain.url])


def _draw_measured(axes: Axes, measured: Sequence[Gain], colors: Mapping[str, tuple] | None) -> list[Label]:
    """Draw our own points with the intervals of their differences, and return their labels."""
    labels = []
    for gain, rank in zip(measured, _setting_ranks(measured)):
        x, y, color = gain.upstream.mean, gain.downstream.mean, colors[gain.kernel]
        if gain.difference.count > 1:
            # The interval shows how far the point is above the diagonal. Several heads share one classifier and so one
            # x, therefore each setting's intervals are shifted by a few points.
            shift = ScaledTranslation((3 * rank - 1.5) / 72, 0, axes.figure.dpi_scale_trans)
            ends = x + gain.difference.low, x + gain.difference.high
            style = dict(color=color, linewidth=1.2, alpha=0.6, scalex=False, scaley=False)
            axes.plot((x, x), ends, transform=axes.transData + shift, **style)

        marker = MARKERS[rank % len(MARKERS)]
        axes.scatter([x], [y], s=60, marker=marker, color=[color], zorder=5, edgecolors='white', linewidths=0.8)
        labels.append(Label(x, y, gain.kernel, color))

    return labels


def _add_legend(figure: Figure, axes: Axes, measured: Sequence[Gain]) -> None:
    """Explain the markers of our settings below the figure."""
    if not measured:
        return

    ranks = dict(zip([gain.setting for gain in measured], _setting_ranks(measured)))
    for setting, rank in ranks.items():
        label = f'measured here: {setting.metric}, {setting.describe()}'
        axes.scatter([], [], s=50, marker=MARKERS[rank % len(MARKERS)], c=INK, label=label)

    figure.legend(loc='outside lower left', fontsize=8.5, frameon=False, labelcolor=INK)


def _setting_ranks(measured: Sequence[Gain]) -> list[int]:
    """Return the number of each gain's setting, in the order in which the settings occur."""
    settings = list(dict.fromkeys(gain.setting for gain in measured))
    return [settings.index(gain.setting) for gain in measured]


def _find_crowd(points: Sequence[tuple[float, float]]) -> Bbox | None:
    """Return the box around the half of many points that lies closest together, or None if there are few."""
    if len(points) < CROWDED:
        return None

    points = np.array(points)
    distances = np.abs((points - np.median(points, axis=0)) / np.ptp(points, axis=0)).max(1)
    near = points[distances <= np.median(distances)]
    margin = 0.3 * np.ptp(near, axis=0)
    return Bbox([near.min(0) - margin, near.max(0) + margin])


def _enlarge(whole: Axes, part: Axes, box: Bbox) -> NDArray:
    """Let ``part`` show only the box and frame it in ``whole``; return the frame as a line around its corners."""
    whole.add_patch(Rectangle(box.min, *box.size, fill=False, edgecolor=INK, linewidth=0.8))
    part.set(xlim=box.intervalx, ylim=box.intervaly)
    part.set_title('the box above, enlarged', fontsize=9, color=INK, loc='left')
    return box.corners()[[0, 1, 3, 2, 0]]


def _reference_lines(axes: Axes) -> list[list[tuple[float, float]]]:
    """Return the two lines of no gain and the line of equal gains, within the panel."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    low, high = max(left, bottom), min(right, top)
    return [[(left, 0), (right, 0)], [(0, bottom), (0, top)], [(low, low), (high, high)]]


def _published_point(gain: PublishedGain, share: bool) -> tuple[float, float]:
    """Return the gains upstream and downstream, in points or as a share of the remaining error in percent."""
    if not share:
        return gain.upstream, gain.downstream
    return 100 * gain.upstream / (100 - gain.upstream_base), 100 * gain.downstream / (100 - gain.downstream_base)


def _limit_to(axes: Axes, points: Sequence[tuple[float, float]]) -> None:
    """Let the panel show all ``points`` and the origin."""
    left, bottom = np.min([(0, 0), *points], axis=0)
    right, top = np.max([(0, 0), *points], axis=0)
    x_margin = 0.09 * max(right - left, 0.1)
    y_margin = 0.09 * max(top - bottom, 0.1)
    axes.set(xlim=(left - x_margin, right + x_margin), ylim=(bottom - y_margin, top + y_margin))
