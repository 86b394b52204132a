"""The figures of a study of kernel sizes.

Each size has one colour in all of them, from dark blue for the smallest to orange; strips are dashed lines or diamonds.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox, ScaledTranslation
from numpy.typing import NDArray

from .curves import SIZES, Curve, Gain, ProbeCurve
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
from .published import PublishedGain
from .statistics import Interval, mean_interval

# One panel has no room to name so many published points legibly.
CROWDED = 24
SIZE_COLORS = dict(zip(SIZES, ('#1b9e77', '#d95f02', '#7570b3')))
MARKERS = 'os^vPX'


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


def _limit_to(axes: Axes, points: Sequence[tuple[float, float]]) -> None:
    """Let the panel show all ``points`` and the origin."""
    left, bottom = np.min([(0, 0), *points], axis=0)
    right, top = np.max([(0, 0), *points], axis=0)
    x_margin = 0.09 * max(right - left, 0.1)
    y_margin = 0.09 * max(top - bottom, 0.1)
    axes.set(xlim=(left - x_margin, right + x_margin), ylim=(bottom - y_margin, top + y_margin))
