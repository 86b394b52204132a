"""Shapes and textures as functions of object coordinates: what an instance of each synthetic class looks like.

Object coordinates ``u`` and ``v`` have their origin in the middle of the object; a shape lies within the unit circle.
A class is one shape with one texture. Eight shapes share four textures, and colours are free, so neither the texture
nor the colour alone tells the class.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating]


def disk(u: Field, v: Field) -> NDArray[np.bool_]:
    return np.hypot(u, v) < 0.9


def square(u: Field, v: Field) -> NDArray[np.bool_]:
    return np.maximum(np.abs(u), np.abs(v)) < 0.7


def triangle(u: Field, v: Field) -> NDArray[np.bool_]:
    return (v < 0.5) & (3**0.5 * np.abs(u) - v < 1)


def cross(u: Field, v: Field) -> NDArray[np.bool_]:
    return (np.minimum(np.abs(u), np.abs(v)) < 0.28) & (np.maximum(np.abs(u), np.abs(v)) < 0.95)


def ring(u: Field, v: Field) -> NDArray[np.bool_]:
    return np.abs(np.hypot(u, v) - 0.7) < 0.25


def star(u: Field, v: Field) -> NDArray[np.bool_]:
    """Return the inside of five tips at radius 1, with the corners between them at radius 0.4."""
    half = np.pi / 5
    # By symmetry every point lies in the wedge between a corner (angle 0) and a tip (angle `half`).
    angle = np.abs((np.arctan2(v, u) + half) % (2 * half) - half)
    along, across = np.hypot(u, v) * np.cos(angle), np.hypot(u, v) * np.sin(angle)
    return (along - 0.4) * np.sin(half) < across * (np.cos(half) - 0.4)


def crescent(u: Field, v: Field) -> NDArray[np.bool_]:
    return (np.hypot(u, v) < 0.95) & (np.hypot(u - 0.5, v) > 0.75)


def bar(u: Field, v: Field) -> NDArray[np.bool_]:
    return (np.abs(u) < 0.95) & (np.abs(v) < 0.26)


def stripes(u: Field, v: Field) -> Field:
    return np.sin(u)


def checks(u: Field, v: Field) -> Field:
    return np.sin(u) * np.sin(v)


def dots(u: Field, v: Field) -> Field:
    return np.cos(u) + np.cos(v) - 0.6


def ripples(u: Field, v: Field) -> Field:
    return np.sin(np.hypot(u, v))


# Each tells whether a point is inside.
SHAPES: tuple[Callable[[Field, Field], NDArray[np.bool_]], ...] = (
    disk,
    square,
    triangle,
    cross,
    ring,
    star,
    crescent,
    bar,
)
# Each has the period 2 pi; its sign at a point tells which of the two colours the point has.
TEXTURES: tuple[Callable[[Field, Field], Field], ...] = (stripes, checks, dots, ripples)
MAX_CLASSES = len(SHAPES) * len(TEXTURES)


def shape_and_texture(index: int) -> tuple[Callable, Callable]:
    """Return the shape and texture of class ``index``.

    The first eight classes have a shape each; later ones repeat the shapes with other textures.

    Raises:
        ValueError: there is no such class.

    >>> [[part.__name__ for part in shape_and_texture(index)] for index in (0, 8)]
    [['disk', 'stripes'], ['disk', 'checks']]
    """
    if not 0 <= index < MAX_CLASSES:
        raise ValueError(f'class index must be in [0, {MAX_CLASSES}), got {index}')
    return SHAPES[index % len(SHAPES)], TEXTURES[(index + index // len(SHAPES)) % len(TEXTURES)]


@cache
def area(shape: Callable) -> float:
    """Return the area of a shape in units of its squared radius.

    >>> round(area(square), 2)
    1.96
    """
    cells = 500
    v, u = np.ogrid[-1 : 1 : cells * 1j, -1 : 1 : cells * 1j]
    return float(shape(u, v).mean()) * 4
