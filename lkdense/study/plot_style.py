"""The look of the pictures: panels, titles, and texts that do not lie on each other."""

import textwrap
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

INK, GREY, PALE = '#222222', '#7a7a7a', '#d9d9d9'
# behind text that may lie on lines
HALO = [withStroke(linewidth=2.5, foreground='white')]
# text closer to its point than this, in points, needs no line to it
NEAR = 15


def panels(count: int = 1, width: float = 4.6, height: float = 3.5, columns: int = 2) -> tuple[Figure, list[Axes]]:
    """Return an empty figure of the size that a phone shows whole, in inches, and ``count`` axes in two columns."""
    columns = min(count, columns)
    rows = -(-count // columns)
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


def add_title(figure: Figure, what: str, where: str) -> None:
    height = 72 * figure.get_figheight()
    where = textwrap.fill(where, int(15 * figure.get_figwidth()))
    # an empty one takes the room, because one text cannot have two fonts
    figure.suptitle('\n' * (1 + where.count('\n')) + ' ', fontsize=11)
    place = dict(x=0.02, va='top', ha='left')
    figure.text(
        y=1 - 6 / height, s=f'{what[0].upper()}{what[1:]}', fontsize=10.5, fontweight='bold', color=INK, **place
    )
    figure.text(y=1 - 21 / height, s=where, fontsize=8.5, color=GREY, **place)


def label_ends(axes: Axes, ends: Sequence[tuple[float, float, str]], colors: Mapping[str, tuple]) -> None:
    """Write names at the right of an otherwise complete panel, near what they name but never upon each other."""
    low, high = axes.get_ylim()
    axes.figure.draw_without_rendering()
    step = 11 / 72 * axes.figure.dpi / axes.bbox.height * (high - low)
    ends = sorted(ends, key=lambda end: end[1])
    heights = [y for _, y, _ in ends]

    for i in range(1, len(ends)):
        heights[i] = max(heights[i], heights[i - 1] + step)

    heights[-1] = min(heights[-1], high)
    for i in reversed(range(len(ends) - 1)):
        heights[i] = min(heights[i], heights[i + 1] - step)

    for (x, y, name), height in zip(ends, heights):
        color = colors[name]
        leader = dict(arrowstyle='-', color=color, linewidth=0.6, alpha=0.5, shrinkA=1, shrinkB=3, relpos=(0, 0.5))
        axes.annotate(
            name, (x, y), xytext=(1.04, height), textcoords=('axes fraction', 'data'), va='center', fontsize=9,
            color=color, annotation_clip=False, arrowprops=leader,
        )  # fmt: skip


def place_texts(figure: Figure, groups: Sequence[tuple[Axes, Sequence, Sequence, Sequence]], size: float) -> None:
    """Write texts beside their points, where there is neither another text nor a point; this fixes the layout.

    A thin line leads from a text that stands further off to its point.

    Args:
        figure: of the panels, otherwise complete.
        groups: a panel, its texts ``(x, y, text, color)``, all of its points ``(x, y)``, and lines that had better not
            run through a text, each as its corners.
        size: of the texts, in points.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine('none')
    renderer = figure.canvas.get_renderer()

    for axes, texts, points, lines in groups:
        dots = axes.transData.transform(points) * 72 / figure.dpi
        paths = [_along(axes.transData.transform(line) * 72 / figure.dpi) for line in lines]
        panel = np.array(axes.bbox.extents) * 72 / figure.dpi
        taken = []

        for x, y, text, color in texts:
            style = dict(textcoords='offset points', fontsize=size, color=color, ha='center', va='center')
            note = axes.annotate(text, (x, y), xytext=(0, 0), path_effects=HALO, zorder=6, **style)
            half = np.array(note.get_window_extent(renderer).size) * 36 / figure.dpi
            middle = axes.transData.transform((x, y)) * 72 / figure.dpi
            shifts = [
                np.array([np.cos(angle), np.sin(angle)]) * (radius + half)
                for radius in (6, 10, NEAR, 21, 28, 36, 46)
                for angle in np.radians([0, 180, 90, 270, 45, 135, 225, 315])
            ]
            boxes = [np.concatenate([middle + shift - half, middle + shift + half]) for shift in shifts]
            # the first places are the nearest
            costs = [_hidden(box, taken, dots, paths, panel) + rank / 60 for rank, box in enumerate(boxes)]
            best = int(np.argmin(costs))
            taken.append(boxes[best])
            note.set_position(shifts[best])
            edge = np.clip(0, shifts[best] - half, shifts[best] + half)

            if np.hypot(*edge) >= NEAR:
                leader = dict(arrowstyle='-', color=color, linewidth=0.6, shrinkA=1, shrinkB=4)
                axes.annotate('', (x, y), xytext=edge, textcoords='offset points', arrowprops=leader)


def _along(corners: np.ndarray) -> np.ndarray:
    """Return points on a line, two points of length or less apart."""
    parts = [np.linspace(start, end, 2 + int(np.hypot(*(end - start)) / 2)) for start, end in pairwise(corners)]
    return np.concatenate(parts)


def _hidden(
    box: np.ndarray, texts: Sequence[np.ndarray], dots: np.ndarray, lines: Sequence[np.ndarray], panel: np.ndarray
) -> float:
    """How bad it is to write in a box ``(left, bottom, right, top)``: what it would lie on, and whether it leaves."""
    crossed = sum((box[:2] < other[2:]).all() and (other[:2] < box[2:]).all() for other in texts)
    inside = ((box[:2] - 4 < dots) & (dots < box[2:] + 4)).all(1).sum()
    struck = sum(((box[:2] < line) & (line < box[2:])).all(1).any() for line in lines)
    outside = (box[:2] < panel[:2]).any() or (box[2:] > panel[2:]).any()
    return 10 * crossed + 3 * inside + struck + 20 * outside
