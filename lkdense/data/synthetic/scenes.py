"""Random scenes of textured shapes with exact instance masks.

Shapes differ in size, turn, colours and place, lie over one another, and may run out of the picture. The background is
smooth noise; some scenes have unlabelled clutter in it. Light, blur and sensor noise differ from scene to scene.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from .shapes import MAX_CLASSES, area, shape_and_texture

# Raise this when a seed starts to give other pixels than before, so that existing sets no longer count as equal.
VERSION = 1
BACKGROUND, CLUTTER = 0, 255
MIN_SIZE = 32  # pixels
# The class of an object can be told as long as this share of its area is visible.
MIN_VISIBLE = 0.4

Window = tuple[slice, slice]


@dataclass(frozen=True, eq=False)
class Scene:
    """An image and its instances.

    Attributes:
        image: ``[H, W, 3]`` uint8, RGB.
        objects: ``[H, W]`` uint8, what each pixel shows: ``i + 1`` for object ``i``, ``BACKGROUND`` or ``CLUTTER``.
        classes: the class index of each object.
        visible: the share of each object's area that is within the image and not covered, in [0.4, 1].
    """

    image: NDArray[np.uint8]
    objects: NDArray[np.uint8]
    classes: tuple[int, ...]
    visible: tuple[float, ...]

    @cached_property
    def masks(self) -> NDArray[np.bool_]:
        """The visible pixels of each object, ``[N, H, W]``; no pixel is in two."""
        return self.objects == np.arange(1, len(self.classes) + 1)[:, None, None]

    @cached_property
    def boxes(self) -> NDArray[np.int64]:
        """The extents of the masks, ``[N, 4]`` as x0, y0, x1, y1 in pixels, x1 and y1 being the first ones outside."""
        boxes = []
        for mask in self.masks:
            x0, x1 = _extent(mask.any(0))
            y0, y1 = _extent(mask.any(1))
            boxes.append((x0, y0, x1, y1))

        return np.array(boxes, dtype=np.int64).reshape(-1, 4)

    def label_map(self, labels: list[int], background: int, clutter: int) -> NDArray[np.uint8]:
        """Return the label of each pixel, ``[H, W]``, where ``labels[c]`` is the label of class ``c``."""
        table = np.zeros(256, np.uint8)
        table[BACKGROUND], table[CLUTTER] = background, clutter
        table[1 : len(self.classes) + 1] = [labels[index] for index in self.classes]
        return table[self.objects]


def make_scene(rng: np.random.Generator, size: tuple[int, int] = (256, 256), num_classes: int = 8) -> Scene:
    """Draw one scene of ``size`` (height, width) in pixels, with two to seven objects of ``num_classes`` classes.

    Raises:
        ValueError: ``size`` is not two numbers from 32 up, or ``num_classes`` not in [1, 32].

    >>> scene = make_scene(np.random.default_rng(0), size=(64, 96))
    >>> scene.image.shape, scene.masks.shape[1:], len(scene.boxes) == len(scene.classes)
    ((64, 96, 3), (64, 96), True)
    """
    _check(size)
    if not 1 <= num_classes <= MAX_CLASSES:
        raise ValueError(f'num_classes must be in [1, {MAX_CLASSES}], got {num_classes}')

    image = _noise(rng, size, _colours(rng))
    objects = np.zeros(size, np.uint8)
    if rng.random() < 0.3:
        window, mask = _blob(rng, size)
        image[window][mask] = _noise(rng, size, _colours(rng))[window][mask]
        objects[window][mask] = CLUTTER

    classes, areas, visible = [], [], []
    wanted = rng.integers(2, 8)
    while len(classes) < wanted:
        index = int(rng.integers(num_classes))
        window, mask, paint, whole = _draw_object(rng, size, *shape_and_texture(index))
        covered = objects.copy()
        covered[window][mask] = len(classes) + 1

        # The new object may hide parts of others, but never so much that the class of one could not be told.
        pixels = np.bincount(covered.ravel(), minlength=256)[1 : len(classes) + 2]
        shares = pixels / [*areas, whole]
        if (shares >= MIN_VISIBLE).all():
            objects, visible = covered, shares
            image[window][mask] = paint[mask]
            classes.append(index)
            areas.append(whole)

    return Scene(_photograph(rng, image), objects, tuple(classes), tuple(np.minimum(visible, 1).tolist()))


def make_object(
    rng: np.random.Generator, size: tuple[int, int], shape: Callable, texture: Callable
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Draw one whole object, as in scenes, with any outline and texture: ``[H, W, 3]`` in RGB, and its mask.

    Raises:
        ValueError: ``size`` is not two numbers from 32 up.
    """
    _check(size)
    image = _noise(rng, size, _colours(rng))

    inside = False
    while not inside:
        objects = np.zeros(size, np.bool_)
        window, mask, paint, _ = _draw_object(rng, size, shape, texture)
        objects[window] = mask
        touches_edge = objects[[0, -1]].any() or objects[:, [0, -1]].any()
        inside = objects.any() and not touches_edge

    image[window][mask] = paint[mask]
    return _photograph(rng, image), objects


def _check(size: tuple[int, int]) -> None:
    if len(size) != 2 or min(size) < MIN_SIZE:
        raise ValueError(f'size must be a height and a width of at least {MIN_SIZE} pixels, got {size}')


def _extent(occupied: NDArray[np.bool_]) -> tuple[int, int]:
    places = np.flatnonzero(occupied)
    return int(places[0]), int(places[-1]) + 1


def _place(rng: np.random.Generator, size: tuple[int, int], radius: float) -> tuple[Window, NDArray, NDArray]:
    """Place and turn an object of ``radius`` pixels at random: its window, and the object coordinates of its pixels."""
    centre_y, centre_x = rng.uniform(0, size[0]), rng.uniform(0, size[1])
    rows, columns = _bounds(centre_y, radius, size[0]), _bounds(centre_x, radius, size[1])

    y, x = np.ogrid[rows, columns]
    dy, dx = (y + 0.5 - centre_y) / radius, (x + 0.5 - centre_x) / radius
    return (rows, columns), *_turn(dx, dy, rng.uniform(0, 2 * np.pi))


def _bounds(centre: float, radius: float, side: int) -> slice:
    return slice(int(max(0, centre - radius)), int(min(side, centre + radius + 1)))


def _turn(u: NDArray, v: NDArray, angle: float) -> tuple[NDArray, NDArray]:
    return np.cos(angle) * u + np.sin(angle) * v, np.cos(angle) * v - np.sin(angle) * u


def _draw_object(
    rng: np.random.Generator, size: tuple[int, int], shape: Callable, texture: Callable
) -> tuple[Window, NDArray[np.bool_], NDArray, float]:
    """Draw an object: its window, its mask and colours there, and its area in pixels, inside the image or not."""
    # Objects measure from 1/6 to over 1/2 of the image across, and small ones are as frequent as large ones.
    radius = min(size) * np.exp(rng.uniform(np.log(0.085), np.log(0.28)))
    window, u, v = _place(rng, size, radius)

    # The texture is turned independently of the outline. It belongs to the object, so a smaller object has a finer one.
    periods = 2 * np.pi * rng.uniform(2.2, 3.2)
    wave = texture(*_turn(u * periods, v * periods, rng.uniform(0, 2 * np.pi)))

    dark, light = _colours(rng)
    paint = np.where((wave > 0)[..., None], light, dark)
    return window, shape(u, v), paint, area(shape) * radius**2


def _blob(rng: np.random.Generator, size: tuple[int, int]) -> tuple[Window, NDArray[np.bool_]]:
    window, u, v = _place(rng, size, min(size) * rng.uniform(0.1, 0.25))
    angle = np.arctan2(v, u)
    return window, np.hypot(u, v) < 0.7 + 0.2 * np.sin(3 * angle) + 0.1 * np.sin(7 * angle)


def _colours(rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a dark and a light colour, ``[2, 3]``, of any hues, at least 70 of 255 apart on average."""
    dark, light = rng.uniform(0, 110, 3), rng.uniform(0, 110, 3)
    return np.array([dark, light + 145 - 75 * rng.random()], np.float32)


def _noise(rng: np.random.Generator, size: tuple[int, int], colours: NDArray) -> NDArray[np.float32]:
    """Return a cloudy mixture ``[H, W, 3]`` of two colours: noise of four scales, the coarse ones stronger."""
    height, width = size
    clouds = np.zeros(size, np.float32)
    for cells, strength in ((3, 1.0), (7, 0.5), (15, 0.3), (40, 0.25)):
        grid = rng.standard_normal((cells, max(2, round(cells * width / height))), np.float32)
        clouds += strength * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)

    mix = 1 / (1 + np.exp(-1.5 * clouds))
    return colours[0] + mix[..., None] * (colours[1] - colours[0])


def _photograph(rng: np.random.Generator, image: NDArray) -> NDArray[np.uint8]:
    """Make an image look photographed: uneven light, then blur, then sensor noise."""
    height, width = image.shape[:2]
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    light = 0.9 + rng.uniform(-0.15, 0.15) * x + rng.uniform(-0.15, 0.15) * y
    image = cv2.GaussianBlur((image * light[..., None]).astype(np.float32), (0, 0), rng.uniform(0.4, 1.0))
    image += rng.uniform(3, 12) * rng.standard_normal(image.shape, np.float32)
    return np.clip(image + 0.5, 0, 255).astype(np.uint8)
