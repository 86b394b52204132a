"""The figures of a study of kernel sizes.

Each size has one colour in all of them, from dark blue for the smallest to orange; strips are dashed lines or diamonds.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .curves import SIZES, Curve, ProbeCurve
from .plot_style import (
    GREY,
    HALO,
    INK,
    PALE,
    Label,
    LabelledPanel,
    add_title,
    create_panels,
    label_ends,
    place_labels,
)
from .statistics import Interval, mean_interval

SIZE_COLORS = dict(zip(SIZES, ('#1b9e77', '#d95f02', '#7570b3')))


def kernel_colors(reach: Mapping[str, float]) -> dict[str, tuple]:
    """Return a colour for each kernel, by its rank in reach: strips have the colour of the square of their reach."""
    ranks = {size: rank for rank, size in enumerate(sorted(set(reach.values())))}
    last = max(len(ranks) - 1, 1)

    return {kernel: colormaps['plasma'](0.78 * ranks[size] / last) for kernel, size in reach.items()}


def plot_curve(curve: Curve, colors: Mapping[str, tuple]) -> Figure:
    """Draw a metric against kernel size: a dot for each seed, and the mean with its interval."""
    figure, (axes,) = create_panels()
    intervals = {kernel: mean_interval(seeds.values()) for kernel, seeds in curve.values.items()}

    # The level of the smallest kernel is drawn across, and the squares are joined by a line.
    smallest = next(iter(intervals.values())).mean
    axes.axhline(smallest, color=GREY, linewidth=0.8, linestyle=(0, (2, 3)))
    squares = []
    for x, (kernel, interval) in enumerate(intervals.items()):
        if not _is_strip(kernel):
            squares.append((x, interval.mean))
    axes.plot(*np.transpose(squares or [(0, smallest)]), color=PALE, linewidth=1.5, zorder=1.5)

    values = []
    for x, (kernel, interval) in enumerate(intervals.items()):
        seeds = list(curve.values[kernel].values())
        values += seeds
        _draw_seeds(axes, x, seeds, colors[kernel], _marker(kernel))
        _draw_interval(axes, x, interval, colors[kernel])

    _limit_values(axes, values, intervals.values())
    _label_kernels(axes, list(intervals))
    axes.set_ylabel(f'{curve.setting.metric}, %')
    subtitle = f'{curve.setting.describe()}; dots: seeds, bars: mean and 95 % interval'
    add_title(figure, curve.setting.task, subtitle)

    return figure


def plot_probe(probe: ProbeCurve, colors: Mapping[str, tuple]) -> Figure:
    """Draw a metric against the distance of the cue: a line for each kernel, a dot for each seed, and two levels.

    The levels are chance, and the threshold above which a distance is solved.
    """
    figure, (axes,) = create_panels(1, 5.2, 3.7)
    distances = probe.distances

    ends = []
    for kernel, by_distance in probe.values.items():
        xs, means = [], []
        for distance, seeds in sorted(by_distance.items()):
            xs.append(distances.index(distance))
            means.append(mean_interval(seeds.values()).mean)

        axes.plot(xs, means, color=colors[kernel], linewidth=1.8, linestyle=_dashes(kernel))
        for x in xs:
            seeds = list(by_distance[distances[x]].values())
            _draw_seeds(axes, x, seeds, colors[kernel], _marker(kernel))
        ends.append((xs[-1], means[-1], kernel))

    if probe.chance is not None:
        for level, words in ((probe.chance, 'chance'), (probe.threshold, 'solved above')):
            axes.axhline(level, color=GREY, linewidth=0.9, linestyle=(0, (2, 3)))
            axes.annotate(
                words, (0, level), xycoords=('axes fraction', 'data'), xytext=(3, 3), textcoords='offset points',
                color=GREY, fontsize=8,
            )  # fmt: skip

    axes.set(xlabel='distance of the cue, pixels', ylabel=f'{probe.setting.metric}, %')
    axes.set_xticks(range(len(distances)), [f'{distance:g}' for distance in distances])
    axes.set_xlim(-0.3, len(distances) - 0.3)
    axes.set_ylim(max(0, axes.get_ylim()[0]), max(102, axes.get_ylim()[1]))

    subtitle = f'{probe.setting.describe()}; a line for each kernel size, a dot for each seed'
    add_title(figure, probe.setting.task, subtitle)
    label_ends(axes, ends, colors)

    return figure


def plot_sizes(curves: Mapping[str, Curve]) -> Figure:
    """Draw box AP against kernel size for objects of each size, small, medium and large."""
    figure, (axes,) = create_panels()
    first = next(iter(curves.values()))
    kernels = list(first.values)

    ends = []
    for size, color in SIZE_COLORS.items():
        if size not in curves:
            continue

        xs, means = [], []
        for kernel, seeds in curves[size].values.items():
            if kernel in kernels:
                xs.append(kernels.index(kernel))
                means.append(mean_interval(seeds.values()).mean)

        axes.plot(xs, means, color=color, linewidth=1.5)
        for x in xs:
            seeds = list(curves[size].values[kernels[x]].values())
            _draw_seeds(axes, x, seeds, color, 'o')
        ends.append((xs[-1], means[-1], size))

    _label_kernels(axes, kernels)
    axes.set_ylabel('box AP, %')
    add_title(figure, 'detection, by size of object', f'{first.setting.describe()}; lines: means, dots: seeds')
    label_ends(axes, ends, SIZE_COLORS)

    return figure


def plot_points(
    groups: Mapping[str, Sequence[tuple[str, float, float]]],
    colors: Mapping[str, tuple],
    metric: str,
    title: tuple[str, str],
    before: Sequence[tuple[str, float, float]] = (),
) -> Figure:
    """Draw a metric against other quantities: a panel for each, a dot for each network ``(kernel, quantity, metric)``.

    Args:
        groups: name of the quantity to its dots.
        colors: one for each kernel.
        metric: its name and unit.
        title: title and subtitle.
        before: the networks of the first panel before training, drawn as rings.
    """
    size = (5.2, 2.9) if len(groups) > 1 else ()
    figure, grid = create_panels(len(groups), *size)

    panels = []
    for axes, (name, points) in zip(grid, groups.items()):
        rings = before if axes is grid[0] else ()
        for style, dots in ((dict(mfc='white', mew=1.1), rings), (dict(mew=0, alpha=0.75), points)):
            for kernel, x, y in dots:
                axes.plot(x, y, _marker(kernel), color=colors[kernel], markersize=5, zorder=4, **style)

        axes.margins(0.16)
        axes.set(xlabel=name, ylabel=metric)
        axes.xaxis.set_major_locator(MaxNLocator(4))

        # One label in the middle of a kernel's dots names them all.
        by_kernel = {}
        for kernel, x, y in points:
            by_kernel.setdefault(kernel, []).append((x, y))
        labels = [Label(*np.mean(dots, axis=0), kernel, colors[kernel]) for kernel, dots in by_kernel.items()]
        all_dots = [(x, y) for _, x, y in (*points, *rings)]
        panels.append(LabelledPanel(axes, labels, all_dots, lines=()))

    add_title(figure, *title)
    place_labels(figure, panels, size=8.5)

    return figure


def plot_losses(
    groups: Mapping[str, Mapping[tuple[str, int], Sequence]], colors: Mapping[str, tuple], subtitle: str
) -> Figure:
    """Draw training losses, a panel for each group and a line for each training.

    Args:
        groups: title of the panel to its lines: pairs of iteration and loss under ``(kernel, seed)``.
        colors: one for each kernel.
        subtitle: the setting in words.
    """
    figure, grid = create_panels(len(groups), 5.2, 3.7 if len(groups) == 1 else 2.9)
    add_title(figure, 'training loss', f'{subtitle}; a line for each training, by kernel size')

    for axes, (name, curves) in zip(grid, groups.items()):
        last_points = {}
        for (kernel, _), curve in curves.items():
            iterations, losses = np.transpose(curve)
            axes.plot(iterations, losses, color=colors[kernel], linewidth=1, alpha=0.8, linestyle=_dashes(kernel))
            last_points.setdefault(kernel, []).append((iterations[-1], losses[-1]))

        axes.set(xlabel='iteration', ylabel='training loss')
        if name:
            axes.set_title(name, fontsize=9, color=INK, loc='left')

        ends = [(*np.mean(points, axis=0), kernel) for kernel, points in last_points.items()]
        label_ends(axes, ends, colors)

    return figure


def _draw_interval(axes: Axes, x: float, interval: Interval, color: tuple) -> None:
    """Draw the mean as a bar, with its value beside it and its interval across it."""
    if interval.count > 1:
        axes.plot([x, x], [interval.low, interval.high], color=color, linewidth=1.6, solid_capstyle='butt')

    axes.plot([x - 0.13, x + 0.13], [interval.mean] * 2, color=color, linewidth=2.4, solid_capstyle='butt')
    axes.annotate(
        f'{interval.mean:.1f}', (x + 0.16, interval.mean), xytext=(1, 0), textcoords='offset points', va='center',
        color=color, fontsize=9, path_effects=HALO,
    )  # fmt: skip


def _draw_seeds(axes: Axes, x: float, values: Sequence[float], color: tuple | str, marker: str) -> None:
    """Draw a dot for each seed, the dots of one kernel beside each other."""
    shifts = np.linspace(-0.07, 0.07, len(values)) if len(values) > 1 else np.zeros(1)
    axes.plot(x + shifts, values, marker, color=color, alpha=0.6, markersize=4, mew=0)


def _is_strip(kernel: str) -> bool:
    return 'strip' in kernel


def _dashes(kernel: str) -> tuple | str:
    return (0, (4, 2)) if _is_strip(kernel) else '-'


def _marker(kernel: str) -> str:
    return 'D' if _is_strip(kernel) else 'o'


def _label_kernels(axes: Axes, kernels: Sequence[str]) -> None:
    """Label the horizontal axis with the kernels."""
    axes.set_xticks(range(len(kernels)), kernels)
    axes.set_xlim(-0.5, len(kernels) - 0.35)
    axes.set_xlabel('kernel size')
    axes.grid(visible=False, axis='x')


def _limit_values(axes: Axes, values: Sequence[float], intervals: Sequence[Interval]) -> None:
    """Let the vertical axis show all values, and as much of the intervals as leaves the values legible."""
    lowest, highest = min(values), max(values)
    room = 2.5 * (highest - lowest)

    bottom, top = lowest, highest
    for interval in intervals:
        if interval.count > 1:
            bottom, top = min(bottom, interval.low), max(top, interval.high)
    bottom, top = max(bottom, lowest - room), min(top, highest + room)

    margin = 0.08 * (top - bottom) or 0.5
    axes.set_ylim(bottom - margin, top + margin)
