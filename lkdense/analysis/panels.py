"""The look of the pictures: panels, titles, and texts that do not lie on each other."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

INK, GREY, PALE = '#222222', '#7a7a7a', '#d9d9d9'
# behind text that may lie on lines
HALO = [withStroke(linewidth=2.5, foreground='white')]


def panels(count: int = 1, width: float = 4.6, height: float = 3.5) -> tuple[Figure, list[Axes]]:
    """Return an empty figure of the size that a phone shows whole, in inches, and ``count`` axes in two columns."""
    columns = min(count, 2)
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
    """Write names at the right of the panel, at the height of what they name but never upon each other."""
    low, high = axes.get_ylim()
    step = 0.062 * (high - low)
    ends = sorted(ends, key=lambda end: end[1])
    heights = [y for _, y, _ in ends]
    for i in range(1, len(ends)):
        heights[i] = max(heights[i], heights[i - 1] + step)
    heights[-1] = min(heights[-1], high)
    for i in reversed(range(len(ends) - 1)):
        heights[i] = min(heights[i], heights[i + 1] - step)
    for (x, y, name), height in zip(ends, heights):
        axes.annotate(
            name, (x, y), xytext=(1.02, height), textcoords=('axes fraction', 'data'), va='center', fontsize=9,
            color=colors[name], annotation_clip=False,
        )  # fmt: skip


def place_texts(figure: Figure, axes: Axes, places: Sequence, points: Sequence, size: float) -> None:
    """Write ``(x, y, text, color)`` beside its point where neither another text nor a point is."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    pixel = figure.dpi / 72
    dots = axes.transData.transform(points)
    boxes = []
    for x, y, text, color in places:
        note = axes.annotate(text, (x, y), xytext=(0, 0), textcoords='offset points', fontsize=size, color=color)
        width, height = np.array(note.get_window_extent(renderer).size) / pixel
        note.remove()
        middle = axes.transData.transform((x, y))
        best = None
        for radius in (6, 10, 15, 21):
            for angle in np.radians([0, 180, 90, 270, 45, 135, 225, 315]):
                # of the lower left corner, in points
                shift = np.array([np.cos(angle) * (radius + width / 2), np.sin(angle) * (radius + height / 2)])
                corner = middle + (shift - np.array([width, height]) / 2) * pixel
                box = (*corner, *(corner + np.array([width, height]) * pixel))
                cost = 10 * sum(_overlap(box, other) for other in boxes)
                cost += 3 * sum(box[0] - 4 < px < box[2] + 4 and box[1] - 4 < py < box[3] + 4 for px, py in dots)
                cost += 20 * (not axes.bbox.contains(*box[:2]) or not axes.bbox.contains(*box[2:])) + radius / 30
                if best is None or cost < best[0]:
                    best = cost, shift, box
        _, shift, box = best
        boxes.append(box)
        axes.annotate(
            text, (x, y), xytext=shift, textcoords='offset points', ha='center', va='center', fontsize=size,
            color=color, path_effects=HALO,
        )  # fmt: skip


def _overlap(box: Sequence[float], other: Sequence[float]) -> bool:
    return box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
