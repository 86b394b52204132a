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

from .shapes import MAX_CLASSES, area, look

# raise it when a seed starts to give other pixels than it did: existing sets are then no longer taken for equal
VERSION = 1
BACKGROUND, CLUTTER = 0, 255
MIN_SIZE = 32
Window = tuple[slice, slice]
# of an object's area, so that its class can still be told
MIN_VISIBLE = 0.4


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
        """Visible pixels of each object, ``[N, H, W]``; no pixel is in two."""
        return self.objects == np.arange(1, len(self.classes) + 1)[:, None, None]

    @cached_property
    def boxes(self) -> NDArray[np.int64]:
        """Extents of the masks, ``[N, 4]`` as x0, y0, x1, y1 in pixels, x1 and y1 being the first ones outside."""
        extents = [(*_extent(mask.any(0)), *_extent(mask.any(1))) for mask in self.masks]
        return np.array(extents, dtype=np.int64).reshape(-1, 4)[:, [0, 2, 1, 3]]

    def label_map(self, labels: list[int], background: int, clutter: int) -> NDArray[np.uint8]:
        """Label of each pixel, ``[H, W]``, where ``labels[c]`` is that of class ``c``."""
        lut = np.zeros(256, np.uint8)
        lut[BACKGROUND], lut[CLUTTER] = background, clutter
        lut[1 : len(self.classes) + 1] = [labels[c] for c in self.classes]
        return lut[self.objects]


def make_scene(rng: np.random.Generator, size: tuple[int, int] = (256, 256), num_classes: int = 8) -> Scene:
    """Draw one scene of ``size`` (height, width) in pixels, with two to seven objects of ``num_classes`` classes.

    Raises:
        ValueError: ``size`` is not two numbers from 32 up, or ``num_classes`` not in [1, 32].
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
        window, mask, paint, whole = _object(rng, size, *look(index))
        covered = objects.copy()
        covered[window][mask] = len(classes) + 1
        seen = np.bincount(covered.ravel(), minlength=256)[1 : len(classes) + 2] / [*areas, whole]

        if (seen >= MIN_VISIBLE).all():
            objects, visible = covered, seen
            image[window][mask] = paint[mask]
            classes.append(index)
            areas.append(whole)

    return Scene(_photograph(rng, image), objects, tuple(classes), tuple(np.minimum(visible, 1).tolist()))


def make_object(
    rng: np.random.Generator, size: tuple[int, int], shape: Callable, texture: Callable
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Draw one whole object as scenes show them, of any outline and texture: ``[H, W, 3]`` in RGB, and its mask.

    Raises:
        ValueError: ``size`` is not two numbers from 32 up.
    """
    _check(size)
    image = _noise(rng, size, _colours(rng))
    inside = False
    while not inside:
        objects = np.zeros(size, np.bool_)
        window, mask, paint, _ = _object(rng, size, shape, texture)
        objects[window] = mask
        inside = objects.any() and not any(edge.any() for edge in (objects[[0, -1]], objects[:, [0, -1]]))

    image[window][mask] = paint[mask]
    return _photograph(rng, image), objects


def _check(size: tuple[int, int]) -> None:
    if len(size) != 2 or min(size) < MIN_SIZE:
        raise ValueError(f'size must be a height and a width of at least {MIN_SIZE} pixels, got {size}')


def _extent(occupied: NDArray[np.bool_]) -> tuple[int, int]:
    places = np.flatnonzero(occupied)
    return int(places[0]), int(places[-1]) + 1


def _place(rng: np.random.Generator, size: tuple[int, int], radius: float) -> tuple[Window, NDArray, NDArray]:
    """Window of an object of ``radius`` pixels, placed and turned at random, and object coordinates of its pixels."""
    centre = rng.uniform(0, size[0]), rng.uniform(0, size[1])
    bounds = ((int(max(0, c - radius)), int(min(side, c + radius + 1))) for c, side in zip(centre, size, strict=True))
    rows, columns = (slice(*ends) for ends in bounds)
    y, x = np.ogrid[rows, columns]
    dy, dx = (y + 0.5 - centre[0]) / radius, (x + 0.5 - centre[1]) / radius
    return (rows, columns), *_turn(dx, dy, rng.uniform(0, 2 * np.pi))


def _turn(u: NDArray, v: NDArray, angle: float) -> tuple[NDArray, NDArray]:
    return np.cos(angle) * u + np.sin(angle) * v, np.cos(angle) * v - np.sin(angle) * u


def _object(
    rng: np.random.Generator, size: tuple[int, int], shape: Callable, texture: Callable
) -> tuple[Window, NDArray[np.bool_], NDArray, float]:
    """Window of an object, its mask and colours there, and its area in pixels, inside the image or not."""
    # from 1/6 to over 1/2 of the image across, small as often as large
    radius = min(size) * np.exp(rng.uniform(np.log(0.085), np.log(0.28)))
    window, u, v = _place(rng, size, radius)
    # the texture is turned apart from the outline, and is part of the object: a far one has a fine one
    periods = 2 * np.pi * rng.uniform(2.2, 3.2)
    wave = texture(*_turn(u * periods, v * periods, rng.uniform(0, 2 * np.pi)))
    dark, light = _colours(rng)
    return window, shape(u, v), np.where((wave > 0)[..., None], light, dark), area(shape) * radius**2


def _blob(rng: np.random.Generator, size: tuple[int, int]) -> tuple[Window, NDArray[np.bool_]]:
    window, u, v = _place(rng, size, min(size) * rng.uniform(0.1, 0.25))
    angle = np.arctan2(v, u)
    return window, np.hypot(u, v) < 0.7 + 0.2 * np.sin(3 * angle) + 0.1 * np.sin(7 * angle)


def _colours(rng: np.random.Generator) -> NDArray[np.float32]:
    """A dark and a light colour, ``[2, 3]``, of any hues, at least 70 of 255 apart on average."""
    dark, light = rng.uniform(0, 110, 3), rng.uniform(0, 110, 3)
    return np.array([dark, light + 145 - 75 * rng.random()], np.float32)


def _noise(rng: np.random.Generator, size: tuple[int, int], colours: NDArray) -> NDArray[np.float32]:
    """Cloudy mixture ``[H, W, 3]`` of two colours: noise of four scales, the coarse ones stronger."""
    height, width = size
    clouds = np.zeros(size, np.float32)
    for cells, strength in ((3, 1.0), (7, 0.5), (15, 0.3), (40, 0.25)):
        grid = rng.standard_normal((cells, max(2, round(cells * width / height))), np.float32)
        clouds += strength * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    mix = 1 / (1 + np.exp(-1.5 * clouds))
    return colours[0] + mix[..., None] * (colours[1] - colours[0])


def _photograph(rng: np.random.Generator, image: NDArray) -> NDArray[np.uint8]:
    """Uneven light, then blur, then sensor noise."""
    height, width = image.shape[:2]
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    light = 0.9 + rng.uniform(-0.15, 0.15) * x + rng.uniform(-0.15, 0.15) * y
    image = cv2.GaussianBlur((image * light[..., None]).astype(np.float32), (0, 0), rng.uniform(0.4, 1.0))
    image += rng.uniform(3, 12) * rng.standard_normal(image.shape, np.float32)
    return np.clip(image + 0.5, 0, 255).astype(np.uint8)
