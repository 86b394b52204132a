"""Images of one object that has the outline of one class and the texture of another: which cue does a model follow?

The idea comes from "ImageNet-trained CNNs are biased towards texture; increasing shape bias improves accuracy and
robustness", ICLR 2019, https://arxiv.org/abs/1811.12231. Here the objects have masks: they are drawn, or they are
instances of a real data set, filled with the inside of other instances.
"""

from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from itertools import chain, product, zip_longest
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from .imagenet import crop_around
from .scenes import make_object
from .shapes import shape_and_texture

# Cut-out objects lie on the mean colour of ImageNet, in RGB.
GREY = (124, 116, 104)
MIN_OUTLINE = 64  # pixels, width and height of an outline
MIN_TEXTURE = 24  # pixels, side of the square that a texture is taken from
# Polygons end early at the edge of an image, so outlines must be this many pixels away from it.
MARGIN = 3
# An outline may be in pieces if the largest one has this share of its pixels.
ONE_PIECE = 0.95
BACKGROUNDS = ('grey', 'own')


@dataclass(frozen=True, eq=False)
class CueImage:
    """An image of one object.

    Attributes:
        image: ``[H, W, 3]`` uint8, RGB.
        mask: ``[H, W]``, the object's pixels.
        shape: the classes with its outline.
        texture: the classes with its texture; where the cues agree, one class has both.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    shape: tuple[str, ...]
    texture: tuple[str, ...]

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the object in pixels, the last two being the first ones outside."""
        left, top, width, height = cv2.boundingRect(self.mask.astype(np.uint8))
        return left, top, left + width, top + height


def draw_cues(
    classes: Sequence[str], count: int, size: tuple[int, int], seed: int = 0, agree: bool = False
) -> Iterator[CueImage]:
    """Draw objects with the cues of :func:`shape_and_texture`, all possible pairs of cues equally often.

    Args:
        classes: names of the classes 0, 1, 2, ...
        count: number of images.
        size: height and width in pixels.
        seed: equal arguments give equal images.
        agree: take the pairs of cues that some class has, instead of those that no class has.

    Raises:
        ValueError: there are too few classes for cues that disagree.

    >>> cue = next(draw_cues(('disk', 'square', 'triangle'), count=1, size=(64, 64)))
    >>> cue.shape, cue.texture, cue.image.shape
    (('disk',), ('square',), (64, 64, 3))
    """
    cues = [shape_and_texture(index) for index in range(len(classes))]
    shapes = list(dict.fromkeys(shape for shape, _ in cues))
    textures = list(dict.fromkeys(texture for _, texture in cues))
    pairs = [pair for pair in product(shapes, textures) if (pair in cues) == agree]
    if not pairs:
        raise ValueError(f'cues that disagree need two classes that differ in shape and texture, got {list(classes)}')

    for index in range(count):
        shape, texture = pairs[index % len(pairs)]
        image, mask = make_object(np.random.default_rng([seed, agree, index]), size, shape, texture)
        with_shape = tuple(name for name, (own, _) in zip(classes, cues) if own is shape)
        with_texture = tuple(name for name, (_, own) in zip(classes, cues) if own is texture)
        yield CueImage(image, mask, with_shape, with_texture)


def crop_to_object(cue: CueImage) -> CueImage:
    """Return the object alone, enlarged to the size of the image, as synthetic images for classifiers show it."""
    image = np.array(crop_around(cue.image, cue.box))
    mask = np.array(crop_around(cue.mask.astype(np.uint8) * 255, cue.box))
    return replace(cue, image=image, mask=mask > 127)


class Instance(NamedTuple):
    """An object of a data set.

    Attributes:
        path: the file of its image.
        name: its class.
        mask: its pixels, ``[H, W]``.
        square: rows and columns of a largest square inside.
    """

    path: Path
    name: str
    mask: NDArray[np.bool_]
    square: tuple[slice, slice]


def cut_cues(
    annotations: Path,
    images: Path,
    classes: Sequence[str],
    count: int,
    seed: int = 0,
    agree: bool = False,
    background: str = 'grey',
) -> Iterator[CueImage]:
    """Fill outlines of instances of a data set with a texture from within instances of another class.

    The texture is the largest square inside an instance, mirrored until it covers the outline, so that nothing is left
    of the outline that it came from. Each outline is used once, and classes take turns, so there may be fewer images
    than ``count``.

    Args:
        annotations: a file in COCO's format, with masks.
        images: the folder of the images.
        classes: names of the categories to take.
        count: the most images.
        seed: equal arguments give equal images.
        agree: leave the instances as they are.
        background: what surrounds the object: ``grey``, or its ``own`` background, a third cue that agrees with the
            outline.

    Raises:
        ValueError: the background is unknown, or no two classes have usable instances.
    """
    if background not in BACKGROUNDS:
        raise ValueError(f'background must be one of {", ".join(BACKGROUNDS)}, got {background!r}')

    rng = np.random.default_rng(seed)
    outlines, textures = {}, {}

    for instance in _instances(annotations, images, classes):
        if _has_outline(instance.mask):
            outlines.setdefault(instance.name, []).append(instance)
        if _side(instance) >= MIN_TEXTURE:
            textures.setdefault(instance.name, []).append(instance)

    if not any(other != name for name, other in product(outlines, textures)):
        raise ValueError(f'no whole instance of one class and texture of another among {len(classes)} in {annotations}')

    for outline in _take_turns(list(outlines.values()), rng)[:count]:
        image = _read(outline.path)
        canvas = image if background == 'own' else np.full_like(image, GREY)

        if agree:
            texture_class = outline.name
            canvas[outline.mask] = image[outline.mask]
        else:
            texture_class = str(rng.choice([name for name in textures if name != outline.name]))
            source = textures[texture_class][rng.integers(len(textures[texture_class]))]
            _fill(canvas, outline.mask, _read(source.path)[source.square])

        yield CueImage(canvas, outline.mask, (outline.name,), (texture_class,))


def inner_square(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return rows and columns of a largest square of odd side within ``mask`` ``[H, W]``, empty if the mask is.

    >>> mask = np.zeros((6, 9), bool)
    >>> mask[1:6, 2:9] = True
    >>> mask[inner_square(mask)].shape
    (5, 5)
    """
    distance = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_C, 3)[1:-1, 1:-1]
    row, column = np.unravel_index(distance.argmax(), distance.shape)
    reach = int(distance[row, column]) - 1
    return slice(row - reach, row + reach + 1), slice(column - reach, column + reach + 1)


def _take_turns(groups: Sequence[Sequence[Instance]], rng: np.random.Generator) -> list[Instance]:
    """Shuffle each group, and return the first of every group, then the second of every group, and so on."""
    shuffled = []
    for group in groups:
        order = rng.permutation(len(group))
        shuffled.append([group[index] for index in order])

    return [instance for instance in chain(*zip_longest(*shuffled)) if instance is not None]


def _instances(annotations: Path, images: Path, classes: Sequence[str]) -> Iterator[Instance]:
    from pycocotools.coco import COCO

    with redirect_stdout(StringIO()):
        coco = COCO(str(annotations))

    names = {number: category['name'] for number, category in coco.cats.items()}
    for annotation in coco.anns.values():
        name = names[annotation['category_id']]
        if name not in classes or annotation.get('iscrowd'):
            continue

        mask = coco.annToMask(annotation).astype(np.bool_)
        # Polygons are not exact, so the square keeps away from the edge of the mask.
        inside = cv2.erode(mask.astype(np.uint8), np.ones((5, 5))) > 0
        path = Path(images) / coco.imgs[annotation['image_id']]['file_name']
        yield Instance(path, name, mask, inner_square(inside))


def _has_outline(mask: NDArray[np.bool_]) -> bool:
    """Return whether a mask is large enough to have a form, in one piece, and within the image."""
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    rows, columns = mask.shape
    if min(width, height) < MIN_OUTLINE:
        return False
    if min(left, top, columns - left - width, rows - top - height) < MARGIN:
        return False

    _, _, pieces, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    return pieces[1:, cv2.CC_STAT_AREA].max() >= ONE_PIECE * mask.sum()


def _side(instance: Instance) -> int:
    return instance.square[0].stop - instance.square[0].start


def _fill(canvas: NDArray[np.uint8], mask: NDArray[np.bool_], patch: NDArray[np.uint8]) -> None:
    """Cover ``mask`` with a patch and its mirror images, in place."""
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    below, beside = max(0, height - patch.shape[0]), max(0, width - patch.shape[1])
    cover = np.pad(patch, ((0, below), (0, beside), (0, 0)), mode='symmetric')[:height, :width]

    window = slice(top, top + height), slice(left, left + width)
    canvas[window][mask[window]] = cover[mask[window]]


def _read(path: Path) -> NDArray[np.uint8]:
    image = cv2.imread(str(path))
    if image is None:
        raise ValueError(f'{path} cannot be read as an image')
    return image[..., ::-1].copy()
