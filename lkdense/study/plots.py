"""Pictures of a study of kernel sizes.

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

from .curves import SIZES, Curve, Gain, Probe, Setting
from .plot_style import GREY, HALO, INK, PALE, add_title, label_ends, panels, place_texts
from .published import PublishedGain
from .statistics import Interval, mean_interval

# published points that one panel cannot name legibly
CROWDED = 24
SIZE_COLORS = dict(zip(SIZES, ('#1b9e77', '#d95f02', '#7570b3')))


def kernel_colors(reach: Mapping[str, float]) -> dict[str, tuple]:
    """Return a colour for each kernel, by its rank in reach: strips have that of the square."""
    ranks = {r: i / max(len(set(reach.values())) - 1, 1) for i, r in enumerate(sorted(set(reach.values())))}
    return {kernel: colormaps['plasma'](0.78 * ranks[r]) for kernel, r in reach.items()}


def plot_curve(curve: Curve, colors: Mapping[str, tuple]) -> Figure:
    """Draw a metric against kernel size: a dot a seed, and the mean with its interval."""
    figure, (axes,) = panels()
    kernels = list(curve.values)
    intervals = [mean_interval(curve.values[kernel].values()) for kernel in kernels]
    axes.axhline(intervals[0].mean, color=GREY, linewidth=0.8, linestyle=(0, (2, 3)))
    squares = [(x, i.mean) for x, (k, i) in enumerate(zip(kernels, intervals)) if 'strip' not in k]
    axes.plot(*np.transpose(squares or [(0, intervals[0].mean)]), color=PALE, linewidth=1.5, zorder=1.5)

    for x, (kernel, interval) in enumerate(zip(kernels, intervals)):
        _seeds(axes, x, list(curve.values[kernel].values()), colors[kernel], _marker(kernel))
        _mean_and_interval(axes, x, interval, colors[kernel])

    _value_axis(axes, [v for seeds in curve.values.values() for v in seeds.values()], intervals)
    _kernel_axis(axes, kernels)
    axes.set_ylabel(f'{curve.setting.metric}, %')
    add_title(figure, curve.setting.task, f'{curve.setting.text()}; dots: seeds, bars: mean and 95 % interval')

    return figure


def plot_probe(probe: Probe, colors: Mapping[str, tuple]) -> Figure:
    """Draw a metric against the distance of the cue: a line a kernel, dots for seeds, chance and the bar to pass."""
    figure, (axes,) = panels(1, 5.2, 3.7)
    distances = sorted({distance for by_distance in probe.values.values() for distance in by_distance})
    ends = []

    for kernel, by_distance in probe.values.items():
        there = sorted(by_distance)
        means = [mean_interval(by_distance[d].values()).mean for d in there]
        at = [distances.index(d) for d in there]
        axes.plot(at, means, color=colors[kernel], linewidth=1.8, linestyle=_dashes(kernel))
        for x, d in zip(at, there):
            _seeds(axes, x, list(by_distance[d].values()), colors[kernel], _marker(kernel))
        ends.append((at[-1], means[-1], kernel))

    if probe.chance is not None:
        for level, words in ((probe.chance, 'chance'), (probe.bar, 'solved above')):
            axes.axhline(level, color=GREY, linewidth=0.9, linestyle=(0, (2, 3)))
            axes.annotate(
                words, (0, level), xycoords=('axes fraction', 'data'), xytext=(3, 3), textcoords='offset points',
                color=GREY, fontsize=8,
            )  # fmt: skip

    axes.set(xlabel='distance of the cue, pixels', ylabel=f'{probe.setting.metric}, %')
    axes.set_xticks(range(len(distances)), [f'{distance:g}' for distance in distances])
    axes.set_xlim(-0.3, len(distances) - 0.3)
    axes.set_ylim(max(0, axes.get_ylim()[0]), max(102, axes.get_ylim()[1]))
    add_title(figure, probe.setting.task, f'{probe.setting.text()}; a line for each kernel size, a dot for each seed')
    label_ends(axes, ends, colors)

    return figure


def plot_sizes(curves: Mapping[str, Curve]) -> Figure:
    """Draw box AP against kernel size for objects of each size, small, medium and large."""
    figure, (axes,) = panels()
    kernels = list(next(iter(curves.values())).values)
    ends = []

    for size, shade in SIZE_COLORS.items():
        if size not in curves:
            continue

        by_kernel = curves[size].values
        at = [kernels.index(kernel) for kernel in by_kernel if kernel in kernels]
        intervals = [mean_interval(by_kernel[kernels[x]].values()) for x in at]
        axes.plot(at, [i.mean for i in intervals], color=shade, linewidth=1.5)

        for x in at:
            _seeds(axes, x, list(by_kernel[kernels[x]].values()), shade, 'o')

        ends.append((at[-1], intervals[-1].mean, size))

    _kernel_axis(axes, kernels)
    setting = next(iter(curves.values())).setting
    axes.set_ylabel('box AP, %')
    add_title(figure, 'detection, by size of object', f'{setting.text()}; lines: means, dots: seeds')
    label_ends(axes, ends, SIZE_COLORS)

    return figure


def plot_points(
    groups: Mapping[str, Sequence[tuple[str, float, float]]],
    colors: Mapping[str, tuple],
    metric: str,
    title: tuple[str, str],
    before: Sequence[tuple[str, float, float]] = (),
) -> Figure:
    """Draw a metric against other figures, a panel each and a dot a network: ``(kernel, figure, metric)``.

    Args:
        groups: the dots under the name of the figure.
        colors: of each kernel.
        metric: its name and unit.
        title: what it is, and where.
        before: of the first panel the same networks before training, drawn as rings.
    """
    figure, grid = panels(len(groups), *((5.2, 2.9) if len(groups) > 1 else ()))
    labels = []

    for axes, (name, points) in zip(grid, groups.items()):
        rings = before if axes is grid[0] else ()
        for style, dots in ((dict(mfc='white', mew=1.1), rings), (dict(mew=0, alpha=0.75), points)):
            for kernel, x, y in dots:
                axes.plot(x, y, _marker(kernel), color=colors[kernel], markersize=5, zorder=4, **style)

        axes.margins(0.16)
        axes.set(xlabel=name, ylabel=metric)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        middles = {}

        for kernel, x, y in points:
            middles.setdefault(kernel, []).append((x, y))

        places = [(*np.mean(at, axis=0), kernel, colors[kernel]) for kernel, at in middles.items()]
        labels.append((axes, places, [(x, y) for _, x, y in (*points, *rings)], ()))

    add_title(figure, *title)
    place_texts(figure, labels, size=8.5)

    return figure


def plot_losses(
    groups: Mapping[str, Mapping[tuple[str, int], Sequence]], colors: Mapping[str, tuple], title: str
) -> Figure:
    """Draw training losses, a panel a group and a line for each ``(kernel, seed)``: pairs of iteration and loss."""
    figure, grid = panels(len(groups), 5.2, 3.7 if len(groups) == 1 else 2.9)
    add_title(figure, 'training loss', f'{title}; a line for each training, by kernel size')

    for axes, (name, curves) in zip(grid, groups.items()):
        ends = {}
        for (kernel, _), curve in curves.items():
            iterations, losses = np.transpose(curve)
            axes.plot(iterations, losses, color=colors[kernel], linewidth=1, alpha=0.8, linestyle=_dashes(kernel))
            ends.setdefault(kernel, []).append((iterations[-1], losses[-1]))

        axes.set(xlabel='iteration', ylabel='training loss')
        if name:
            axes.set_title(name, fontsize=9, color=INK, loc='left')

        label_ends(axes, [(*np.mean(at, axis=0), kernel) for kernel, at in ends.items()], colors)

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
        numbers: of the sweeps, under which a table names their sources; the points link to them.
        measured: our own gains, those of this task.
        colors: of our kernels.
        share: the gains are percent of the remaining error, not points.
    """
    crowd = _crowd([_published_point(gain, share) for gain in published])
    figure, grid = panels(1, 6.4, 5.8) if crowd is None else panels(2, 6.4, 5, columns=1)
    unit = 'percent of the remaining error' if share else 'points'

    for axes in grid:
        taken, places, sweeps = _draw_published(axes, published, numbers, share)
        ours = _draw_measured(axes, measured, colors)
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.axvline(0, color=GREY, linewidth=0.8)
        axes.axline((0, 0), slope=1, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
        axes.set(xlabel=f'gain in classification, {unit}', ylabel=f'gain in {task}, {unit}')

    taken += [place[:2] for place in ours]
    places += ours
    _limits(grid[0], taken)
    frame = [] if crowd is None else [_enlarge(*grid, crowd)]

    for name, marker in {_name(gain.setting): marker for gain, marker, _ in _markers(measured)}.items():
        grid[0].scatter([], [], s=50, marker=marker, c=INK, label=f'measured here: {name}')

    if measured:
        figure.legend(loc='outside lower left', fontsize=8.5, frameon=False, labelcolor=INK)

    place = 'over the smallest kernel; dashed: both gain the same, above it the dense task gains more'
    place += '; bars: 95 % intervals, which may go on beyond the frame' if measured else '; all published by others'
    add_title(figure, f'{task} against classification', place)
    # each text in the panel that shows its point best
    inside = [crowd is not None and crowd.contains(*at[:2]) for at in places]
    texts = [[at for at, there in zip(places, inside) if there == wanted] for wanted in (False, True)]
    groups = [(axes, own, taken, [*sweeps, *_axes_of(axes), *frame]) for axes, own in zip(grid, texts)]
    place_texts(figure, groups, size=8)

    return figure


def _draw_published(
    axes: Axes, published: Sequence[PublishedGain], numbers: Mapping[str, int], share: bool
) -> tuple[list, list, list]:
    """Draw the points of others; return them, their texts with places and colours, and the lines that join them."""
    taken, texts, lines = [], {}, []
    for sweep, data in dict.fromkeys((gain.sweep, gain.data) for gain in published):
        gains = [gain for gain in published if (gain.sweep, gain.data) == (sweep, data)]
        at = [_published_point(gain, share) for gain in gains]
        for gain, (x, y) in zip(gains, at):
            alike = gain.differs == 'kernel'
            face = 'white' if not gain.verified else '#555555' if alike else '#bbbbbb'
            style = dict(s=26, marker='o') if alike else dict(s=20, marker='D')
            axes.scatter([x], [y], c=face, edgecolors='#555555', linewidths=0.9, zorder=4, **style).set_urls([gain.url])

        # what follows the name of the data set is a variant
        variant = data.partition(', ')[2]
        text = ', '.join(filter(None, [str(numbers[sweep]), variant]))
        if len(gains) > 1:
            lines.append([(0, 0), *at])
            axes.plot(*np.transpose(lines[-1]), color=PALE, linewidth=1, zorder=1.2)
            text += '' if variant else f' {sweep}'

        taken += at
        # sweeps that end at one place share a text
        texts.setdefault(at[-1], []).append(text)

    return taken, [(*place, ' and '.join(words), GREY) for place, words in texts.items()], lines


def _draw_measured(axes: Axes, measured: Sequence[Gain], colors: Mapping[str, tuple] | None) -> list:
    """Draw our own points with the intervals of their differences; return their texts with places and colours."""
    places = []
    for gain, marker, beside in _markers(measured):
        x, y, color = gain.upstream.mean, gain.downstream.mean, colors[gain.kernel]
        if gain.difference.count > 1:
            # how far the point is above the diagonal; several heads have one classifier and so one x
            shift = ScaledTranslation(beside / 72, 0, axes.figure.dpi_scale_trans)
            ends = x + gain.difference.low, x + gain.difference.high
            style = dict(color=color, linewidth=1.2, alpha=0.6, scalex=False, scaley=False)
            axes.plot((x, x), ends, transform=axes.transData + shift, **style)

        axes.scatter([x], [y], s=60, marker=marker, color=[color], zorder=5, edgecolors='white', linewidths=0.8)
        places.append((x, y, gain.kernel, color))

    return places


def _crowd(points: Sequence[tuple[float, float]]) -> Bbox | None:
    """Return the box around the half of many points that lies closest together, or None of few."""
    if len(points) < CROWDED:
        return None
    points = np.array(points)
    distances = np.abs((points - np.median(points, axis=0)) / np.ptp(points, axis=0)).max(1)
    near = points[distances <= np.median(distances)]
    margin = 0.3 * np.ptp(near, axis=0)
    return Bbox([near.min(0) - margin, near.max(0) + margin])


def _enlarge(whole: Axes, part: Axes, box: Bbox) -> NDArray:
    """Make ``part`` show the box, which is framed in ``whole``; return the frame, from corner to corner."""
    whole.add_patch(Rectangle(box.min, *box.size, fill=False, edgecolor=INK, linewidth=0.8))
    part.set(xlim=box.intervalx, ylim=box.intervaly)
    part.set_title('the box above, enlarged', fontsize=9, color=INK, loc='left')
    return box.corners()[[0, 1, 3, 2, 0]]


def _axes_of(axes: Axes) -> list[list[tuple[float, float]]]:
    """Return the lines of no gain and of equal gains, within the panel."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    low, high = max(left, bottom), min(right, top)
    return [[(left, 0), (right, 0)], [(0, bottom), (0, top)], [(low, low), (high, high)]]


def _markers(measured: Sequence[Gain]) -> list[tuple[Gain, str, float]]:
    """Give each gain the marker of its setting, and how far its interval is drawn beside it, in points."""
    settings = list(dict.fromkeys(gain.setting for gain in measured))
    ranks = [settings.index(gain.setting) for gain in measured]
    return [(gain, 'os^vPX'[rank % 6], 3 * rank - 1.5) for gain, rank in zip(measured, ranks)]


def _name(setting: Setting) -> str:
    return f'{setting.metric}, {setting.text()}'


def _published_point(gain: PublishedGain, share: bool) -> tuple[float, float]:
    if not share:
        return gain.upstream, gain.downstream
    return 100 * gain.upstream / (100 - gain.upstream_base), 100 * gain.downstream / (100 - gain.downstream_base)


def _mean_and_interval(axes: Axes, x: float, interval: Interval, color: tuple) -> None:
    if interval.count > 1:
        axes.plot([x, x], [interval.low, interval.high], color=color, linewidth=1.6, solid_capstyle='butt')
    axes.plot([x - 0.13, x + 0.13], [interval.mean] * 2, color=color, linewidth=2.4, solid_capstyle='butt')
    axes.annotate(
        f'{interval.mean:.1f}', (x + 0.16, interval.mean), xytext=(1, 0), textcoords='offset points', va='center',
        color=color, fontsize=9, path_effects=HALO,
    )  # fmt: skip


def _dashes(kernel: str) -> tuple | str:
    return (0, (4, 2)) if 'strip' in kernel else '-'


def _marker(kernel: str) -> str:
    return 'D' if 'strip' in kernel else 'o'


def _seeds(axes: Axes, x: float, values: Sequence[float], color: tuple | str, marker: str) -> None:
    beside = np.linspace(-0.07, 0.07, len(values)) if len(values) > 1 else np.zeros(1)
    axes.plot(x + beside, values, marker, color=color, alpha=0.6, markersize=4, mew=0)


def _kernel_axis(axes: Axes, kernels: Sequence[str]) -> None:
    axes.set_xticks(range(len(kernels)), kernels)
    axes.set_xlim(-0.5, len(kernels) - 0.35)
    axes.set_xlabel('kernel size')
    axes.grid(visible=False, axis='x')


def _value_axis(axes: Axes, values: Sequence[float], intervals: Sequence[Interval]) -> None:
    """Show all values, and of the intervals as much as leaves the values legible."""
    low, high = min(values), max(values)
    room = 2.5 * (high - low)
    ends = [end for i in intervals if i.count > 1 for end in (i.low, i.high)]
    bottom, top = max(min([*ends, low]), low - room), min(max([*ends, high]), high + room)
    margin = 0.08 * (top - bottom) or 0.5
    axes.set_ylim(bottom - margin, top + margin)


def _limits(axes: Axes, points: Sequence[tuple[float, float]]) -> None:
    (left, bottom), (right, top) = np.min([(0, 0), *points], axis=0), np.max([(0, 0), *points], axis=0)
    x, y = 0.09 * max(right - left, 0.1), 0.09 * max(top - bottom, 0.1)
    axes.set(xlim=(left - x, right + x), ylim=(bottom - y, top + y))
