"""Label maps and instances drawn over their image, with a legend of the classes."""

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from .results import Instances, LabelMap

# of a pixel's colour, how much is that of its class
OPACITY = 0.5
LINE = 18  # pixels, of a line of the legend
LEGIBLE = 512  # pixels, of the longer side of an image on which names can be read


def class_colors(count: int, given: Sequence[Sequence[int]] | None = None) -> list[tuple[int, int, int]]:
    """Return a colour in RGB for each class: those of the data set, or ones around the circle of hues."""
    if given and len(given) >= count:
        return [tuple(colour) for colour in given[:count]]
    # steps of the golden ratio keep neighbours apart
    hues = [(index * 0.618) % 1 for index in range(count)]
    return [tuple(round(255 * value) for value in colorsys.hsv_to_rgb(hue, 0.75, 0.95)) for hue in hues]


def magnify(
    image: NDArray[np.uint8], found: LabelMap | Instances | int
) -> tuple[NDArray[np.uint8], LabelMap | Instances | int]:
    """Return a small image, and what was found in it, so many times larger that names have room; a class stays."""
    zoom = -(-LEGIBLE // max(image.shape[:2]))
    if zoom == 1:
        return image, found

    def enlarged(pixels: NDArray, axes: tuple[int, int] = (0, 1)) -> NDArray:
        return pixels.repeat(zoom, axes[0]).repeat(zoom, axes[1])

    if isinstance(found, int):
        return enlarged(image), found
    if isinstance(found, LabelMap):
        return enlarged(image), LabelMap(enlarged(found.labels))

    masks = None if found.masks is None else enlarged(found.masks, (1, 2))
    return enlarged(image), Instances(found.boxes * zoom, found.scores, found.classes, masks)


def draw(
    image: NDArray[np.uint8],
    found: LabelMap | Instances,
    classes: Sequence[str],
    palette: Sequence[Sequence[int]],
    room: int | None = None,
) -> Image.Image:
    """Return an image ``[H, W, 3]`` in BGR with what was found over it, and a legend of the classes that occur.

    Args:
        image: any.
        found: in it.
        classes: their names.
        palette: their colours in RGB.
        room: pixels for the legend, where pictures must be of one size; by default what it takes.
    """
    picture = np.ascontiguousarray(image[..., ::-1])
    if isinstance(found, LabelMap):
        present = np.unique(found.labels)
        present = present[present < len(classes)]
        known = found.labels < len(classes)
        table = np.array([*palette, (0, 0, 0)], np.float32)[np.minimum(found.labels, len(classes))]
        picture[known] = ((1 - OPACITY) * picture + OPACITY * table)[known]
        return add_legend(Image.fromarray(picture), [(classes[i], palette[i]) for i in present], room)

    for mask, label in zip(found.masks if found.masks is not None else (), found.classes):
        picture[mask] = (1 - OPACITY) * picture[mask] + OPACITY * np.array(palette[label])
        # outlines keep objects of one class apart
        outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, outlines, -1, tuple(map(int, palette[label])), 1)

    canvas = Image.fromarray(picture)
    pen = ImageDraw.Draw(canvas)
    texts = [classes[label] for label in found.classes]

    if found.scores is not None:
        texts = [f'{text} {score:.2f}' for text, score in zip(texts, found.scores)]

    # the surest last, on top
    for box, text, label in reversed(list(zip(found.boxes, texts, found.classes))):
        pen.rectangle(box.tolist(), outline=tuple(palette[label]), width=2 if found.masks is None else 1)
        _write(pen, box[:2], text, palette[label], canvas.width)

    present = sorted(set(found.classes.tolist()))
    return add_legend(canvas, [(classes[i], palette[i]) for i in present], room)


def legend_width(classes: Sequence[str]) -> int:
    """Return how many pixels wide a legend of these classes is."""
    font = ImageFont.load_default(13)
    return max([round(font.getlength(name)) + 2 * LINE for name in classes], default=0)


def add_legend(
    image: Image.Image, entries: Sequence[tuple[str, Sequence[int]]], room: int | None = None
) -> Image.Image:
    """Return ``image`` with names and their colours to the right of it; see :func:`draw`."""
    font = ImageFont.load_default(13)
    size = image.width + legend_width([name for name, _ in entries]), max(image.height, LINE * len(entries))
    whole = Image.new('RGB', size if room is None else (image.width + room, image.height), 'white')
    whole.paste(image, (0, 0))
    pen = ImageDraw.Draw(whole)

    for row, (name, colour) in enumerate(entries):
        left, top = image.width + 4, row * LINE + 3
        pen.rectangle((left, top, left + LINE - 8, top + LINE - 7), fill=tuple(colour), outline='black')
        pen.text((left + LINE - 2, top - 2), name, 'black', font)

    return whole


def _write(pen: ImageDraw.ImageDraw, corner: NDArray, text: str, colour: Sequence[int], image_width: int) -> None:
    font = ImageFont.load_default(13)
    *_, right, bottom = pen.textbbox((0, 0), text, font)
    # above the corner of its box, but inside the image
    x, y = (max(min(corner[0], image_width - right - 2), 0), max(corner[1] - bottom - 2, 0))
    pen.rectangle((x, y, x + right + 2, y + bottom + 2), fill=tuple(colour))
    is_light = np.dot(colour, (0.299, 0.587, 0.114)) > 140
    pen.text((x + 1, y), text, 'black' if is_light else 'white', font)
