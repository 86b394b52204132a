"""Draw label maps and instances over their image, with a legend of the classes."""

import colorsys
import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from .results import Instances, LabelMap

OPACITY = 0.5  # share of the class's colour in a pixel
FONT_SIZE = 13  # pixels
LINE = 18  # pixels, height of a line of the legend
LEGIBLE = 512  # pixels, the longer side of an image on which names can be read
LIGHT = 140  # luminance from 0 to 255, above which text on a colour is black

Color = Sequence[int]


def class_colors(count: int, palette: Sequence[Color] | None = None) -> list[tuple[int, int, int]]:
    """Return a colour in RGB for each class: those of the data set's ``palette``, or ones around the colour circle.

    >>> class_colors(2, palette=[[120, 120, 120], [180, 120, 120], [6, 230, 230]])
    [(120, 120, 120), (180, 120, 120)]
    >>> class_colors(2)
    [(242, 61, 61), (61, 114, 242)]
    """
    if palette and len(palette) >= count:
        return [tuple(color) for color in palette[:count]]

    colors = []
    for index in range(count):
        # Steps of the golden ratio keep neighbours apart.
        hue = (index * 0.618) % 1
        channels = colorsys.hsv_to_rgb(hue, 0.75, 0.95)
        colors.append(tuple(round(255 * channel) for channel in channels))

    return colors


def magnify(
    image: NDArray[np.uint8], prediction: LabelMap | Instances | int
) -> tuple[NDArray[np.uint8], LabelMap | Instances | int]:
    """Enlarge a small image and what was predicted for it by a whole number, until there is room for names.

    The class of a whole image, an int, stays what it is.

    >>> image, labels = np.zeros((100, 200, 3), np.uint8), np.zeros((100, 200), np.uint8)
    >>> larger, prediction = magnify(image, LabelMap(labels))
    >>> larger.shape, prediction.labels.shape
    ((300, 600, 3), (300, 600))
    """
    zoom = math.ceil(LEGIBLE / max(image.shape[:2]))
    if zoom == 1:
        return image, prediction

    def enlarge(pixels: NDArray, axes: tuple[int, int] = (0, 1)) -> NDArray:
        return pixels.repeat(zoom, axes[0]).repeat(zoom, axes[1])

    if isinstance(prediction, int):
        return enlarge(image), prediction
    if isinstance(prediction, LabelMap):
        return enlarge(image), LabelMap(enlarge(prediction.labels))

    masks = None if prediction.masks is None else enlarge(prediction.masks, (1, 2))
    instances = Instances(prediction.boxes * zoom, prediction.scores, prediction.classes, masks)
    return enlarge(image), instances


def draw(
    image: NDArray[np.uint8],
    prediction: LabelMap | Instances,
    classes: Sequence[str],
    palette: Sequence[Color],
    legend_width: int | None = None,
) -> Image.Image:
    """Return an image with a prediction drawn over it, and a legend of the classes that occur.

    Args:
        image: ``[H, W, 3]`` in BGR.
        prediction: what to draw.
        classes: the names of all classes.
        palette: their colours in RGB.
        legend_width: pixels for the legend, where pictures must be of one size; by default what it needs.

    >>> labels = np.array([[0, 0, 1, 1]] * 4, np.uint8)
    >>> image = np.zeros((4, 4, 3), np.uint8)
    >>> draw(image, LabelMap(labels), ['wall', 'tree'], [(200, 0, 0), (0, 200, 0)], legend_width=60).size
    (64, 4)
    """
    pixels = np.ascontiguousarray(image[..., ::-1])
    if isinstance(prediction, LabelMap):
        present = _draw_labels(pixels, prediction.labels, palette, len(classes))
        picture = Image.fromarray(pixels)
    else:
        present = sorted(set(prediction.classes.tolist()))
        _draw_masks(pixels, prediction, palette)
        picture = Image.fromarray(pixels)
        _draw_boxes(picture, prediction, classes, palette)

    entries = [(classes[index], palette[index]) for index in present]
    return add_legend(picture, entries, legend_width)


def add_legend(
    image: Image.Image, entries: Sequence[tuple[str, Color]], legend_width: int | None = None
) -> Image.Image:
    """Return ``image`` with a legend to its right: names, each beside its colour; see :func:`draw`."""
    if legend_width is None:
        names = [name for name, _ in entries]
        size = image.width + measure_legend(names), max(image.height, LINE * len(entries))
    else:
        size = image.width + legend_width, image.height
    picture = Image.new('RGB', size, 'white')
    picture.paste(image, (0, 0))

    pen = ImageDraw.Draw(picture)
    for row, (name, color) in enumerate(entries):
        left, top = image.width + 4, row * LINE + 3
        pen.rectangle((left, top, left + LINE - 8, top + LINE - 7), fill=tuple(color), outline='black')
        pen.text((left + LINE - 2, top - 2), name, 'black', _font())

    return picture


def measure_legend(classes: Sequence[str]) -> int:
    """Return how many pixels wide a legend of these classes is.

    >>> measure_legend(['wall']) < measure_legend(['wall', 'swimming pool'])
    True
    """
    return max([round(_font().getlength(name)) + 2 * LINE for name in classes], default=0)


def _draw_labels(
    pixels: NDArray[np.uint8], labels: NDArray[np.uint8], palette: Sequence[Color], num_classes: int
) -> list[int]:
    """Blend the colours of the classes into ``pixels`` and return the classes that occur."""
    is_known = labels < num_classes
    # One more colour stands for values that are no class; it is not drawn.
    table = np.array([*palette, (0, 0, 0)], np.float32)
    colors = table[np.minimum(labels, num_classes)]
    pixels[is_known] = ((1 - OPACITY) * pixels + OPACITY * colors)[is_known]

    return np.unique(labels[is_known]).tolist()


def _draw_masks(pixels: NDArray[np.uint8], instances: Instances, palette: Sequence[Color]) -> None:
    if instances.masks is None:
        return

    for mask, label in zip(instances.masks, instances.classes):
        pixels[mask] = (1 - OPACITY) * pixels[mask] + OPACITY * np.array(palette[label])

        # Outlines keep objects of one class apart.
        outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(pixels, outlines, -1, tuple(map(int, palette[label])), 1)


def _draw_boxes(picture: Image.Image, instances: Instances, classes: Sequence[str], palette: Sequence[Color]) -> None:
    texts = [classes[label] for label in instances.classes]
    if instances.scores is not None:
        texts = [f'{text} {score:.2f}' for text, score in zip(texts, instances.scores)]

    pen = ImageDraw.Draw(picture)
    line_width = 2 if instances.masks is None else 1
    # The most confident detection comes first and is drawn last, on top of the others.
    for box, text, label in reversed(list(zip(instances.boxes, texts, instances.classes))):
        pen.rectangle(box.tolist(), outline=tuple(palette[label]), width=line_width)
        _write_name(pen, box[:2], text, palette[label], picture.width)


def _write_name(pen: ImageDraw.ImageDraw, corner: NDArray, text: str, color: Color, image_width: int) -> None:
    *_, right, bottom = pen.textbbox((0, 0), text, _font())
    # The name stands above the corner of its box, but inside the image.
    x = max(min(corner[0], image_width - right - 2), 0)
    y = max(corner[1] - bottom - 2, 0)

    pen.rectangle((x, y, x + right + 2, y + bottom + 2), fill=tuple(color))
    luminance = np.dot(color, (0.299, 0.587, 0.114))
    pen.text((x + 1, y), text, 'black' if luminance > LIGHT else 'white', _font())


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(FONT_SIZE)
