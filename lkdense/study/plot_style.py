"""The look of the figures: panels, titles, and labels that do not overlap."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

INK, GREY, PALE = '#222222', '#7a7a7a', '#d9d9d9'
# The halo keeps text legible that lies on lines.
HALO = [withStroke(linewidth=2.5, foreground='white')]
# A label nearer to its point than this, in points, needs no line to it.
NEAR = 15
# A label may stand at these distances from its point, in points, and in these directions, in degrees, the best first.
DISTANCES = (6, 10, NEAR, 21, 28, 36, 46)
DIRECTIONS = (0, 180, 90, 270, 45, 135, 225, 315)


class Label(NamedTuple):
    """The text beside a point, in data coordinates."""

    x: float
    y: float
    text: str
    color: tuple | str


class LabelledPanel(NamedTuple):
    """A panel with its labels, all of its points ``(x, y)``, and lines that should not run through a label.

    A line is the sequence of its corners.
    """

    axes: Axes
    labels: Sequence[Label]
    points: Sequence[tuple[float, float]]
    lines: Sequence[Sequence[tuple[float, float]]]


def create_panels(
    count: int = 1, width: float = 4.6, height: float = 3.5, columns: int = 2
) -> tuple[Figure, list[Axes]]:
    """Return an empty figure and its ``count`` axes.

    Args:
        count: number of panels.
        width: width of the figure in inches; a phone shows the default whole.
        height: height of each row in inches.
        columns: how many panels stand side by side at most.
    """
    columns = min(count, columns)
    rows = math.ceil(count / columns)
    figure = Figure((width, height * rows), layout='constrained')
    FigureCanvasAgg(figure)

    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[count:]:
        axes.remove()

    for axes in grid.flat[:count]:
        axes.spines[['top', 'right']].set_visible(False)
        axes.spines[['left', 'bottom']].set_color(GREY)
        axes.tick_params(colors=GREY, labelcolor=INK, labelsize=9)
        axes.grid(color=PALE, linewidth=0.6)
        axes.set_axisbelow(True)

    return figure, list(grid.flat[:count])


def add_title(figure: Figure, title: str, subtitle: str) -> None:
    """Write a title in bold and, below it, a subtitle that is wrapped to the width of the figure."""
    height = 72 * figure.get_figheight()
    title = f'{title[0].upper()}{title[1:]}'
    subtitle = textwrap.fill(subtitle, int(15 * figure.get_figwidth()))
    # One text cannot have two fonts, so an empty title reserves the room for both texts.
    figure.suptitle('\n' * (1 + subtitle.count('\n')) + ' ', fontsize=11)

    corner = dict(x=0.02, va='top', ha='left')
    figure.text(y=1 - 6 / height, s=title, fontsize=10.5, fontweight='bold', color=INK, **corner)
    figure.text(y=1 - 21 / height, s=subtitle, fontsize=8.5, color=GREY, **corner)


def label_ends(axes: Axes, ends: Sequence[tuple[float, float, str]], colors: Mapping[str, tuple]) -> None:
    """Write the names of lines at the right of a panel, near the end of each line and never on top of each other.

    Args:
        axes: the panel, otherwise complete.
        ends: the end of each line and its name ``(x, y, name)``.
        colors: one for each name.
    """
    low, high = axes.get_ylim()
    axes.figure.draw_without_rendering()
    step = 11 / 72 * axes.figure.dpi / axes.bbox.height * (high - low)

    ends = sorted(ends, key=lambda end: end[1])
    heights = _spread([y for _, y, _ in ends], step, high)

    for (x, y, name), height in zip(ends, heights):
        color = colors[name]
        leader = dict(arrowstyle='-', color=color, linewidth=0.6, alpha=0.5, shrinkA=1, shrinkB=3, relpos=(0, 0.5))
        axes.annotate(
            name, (x, y), xytext=(1.04, height), textcoords=('axes fraction', 'data'), va='center', fontsize=9,
            color=color, annotation_clip=False, arrowprops=leader,
        )  # fmt: skip


def place_labels(figure: Figure, panels: Sequence[LabelledPanel], size: float) -> None:
    """Write labels beside their points, where there is neither another label nor a point; this fixes the layout.

    A thin line leads from a label that stands further off to its point.

    Args:
        figure: the figure, otherwise complete.
        panels: those of its panels that have labels.
        size: font size in points.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine('none')
    renderer = figure.canvas.get_renderer()
    scale = 72 / figure.dpi

    for axes, labels, points, lines in panels:
        dots = axes.transData.transform(points) * scale
        paths = [_points_along(axes.transData.transform(line) * scale) for line in lines]
        frame = np.array(axes.bbox.extents) * scale
        occupied = []

        for x, y, text, color in labels:
            style = dict(textcoords='offset points', fontsize=size, color=color, ha='center', va='center')
            note = axes.annotate(text, (x, y), xytext=(0, 0), path_effects=HALO, zorder=6, **style)
            half = np.array(note.get_window_extent(renderer).size) * scale / 2
            middle = axes.transData.transform((x, y)) * scale

            costs, boxes, shifts = [], [], _label_shifts(half)
            for rank, shift in enumerate(shifts):
                box = np.concatenate([middle + shift - half, middle + shift + half])
                boxes.append(box)
                # The places are in order of preference, so the rank decides between equally free ones.
                costs.append(_overlap_cost(box, occupied, dots, paths, frame) + rank / 60)

            best = int(np.argmin(costs))
            occupied.append(boxes[best])
            note.set_position(shifts[best])

            edge = np.clip(0, shifts[best] - half, shifts[best] + half)
            if np.hypot(*edge) >= NEAR:
                leader = dict(arrowstyle='-', color=color, linewidth=0.6, shrinkA=1, shrinkB=4)
                axes.annotate('', (x, y), xytext=edge, textcoords='offset points', arrowprops=leader)


def _spread(heights: list[float], step: float, top: float) -> list[float]:
    """Return ascending heights moved apart to at least ``step``, the last one at ``top`` at most."""
    heights = list(heights)
    for i in range(1, len(heights)):
        heights[i] = max(heights[i], heights[i - 1] + step)

    heights[-1] = min(heights[-1], top)
    for i in reversed(range(len(heights) - 1)):
        heights[i] = min(heights[i], heights[i + 1] - step)

    return heights


def _label_shifts(half: NDArray) -> list[NDArray]:
    """Return where the middle of a label may stand, seen from its point, the nearest places first.

    Args:
        half: half the width and height of the label, in points.
    """
    shifts = []
    for distance in DISTANCES:
        for angle in np.radians(DIRECTIONS):
            direction = np.array([np.cos(angle), np.sin(angle)])
            shifts.append(direction * (distance + half))

    return shifts


def _points_along(corners: NDArray) -> NDArray:
    """Return points on a line, two points of length or less apart."""
    parts = []
    for start, end in pairwise(corners):
        length = np.hypot(*(end - start))
        parts.append(np.linspace(start, end, 2 + int(length / 2)))

    return np.concatenate(parts)


def _overlap_cost(
    box: NDArray, labels: Sequence[NDArray], dots: NDArray, lines: Sequence[NDArray], frame: NDArray
) -> float:
    """Return how bad a label in ``box`` would be: what it would cover, and whether it leaves the ``frame``.

    Boxes are ``(left, bottom, right, top)``.
    """
    low, high = box[:2], box[2:]

    covered_labels = 0
    for other in labels:
        covered_labels += (low < other[2:]).all() and (other[:2] < high).all()

    crossed_lines = 0
    for line in lines:
        crossed_lines += ((low < line) & (line < high)).all(1).any()

    covered_dots = ((low - 4 < dots) & (dots < high + 4)).all(1).sum()
    leaves = (low < frame[:2]).any() or (high > frame[2:]).any()
    return 10 * covered_labels + 3 * covered_dots + crossed_lines + 20 * leaves
