"""Images of one object whose outline says one class and whose texture another, to see which of the two a model follows.

The idea is of "ImageNet-trained CNNs are biased towards texture; increasing shape bias improves accuracy and
robustness", ICLR 2019, https://arxiv.org/abs/1811.12231, here for objects with masks: drawn ones, and instances of a
real data set filled with the inside of others.
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

from .imagenet import close_up
from .scenes import make_object
from .shapes import look

# the mean of ImageNet in RGB, around cut-out objects
GREY = (124, 116, 104)
# pixels: of an outline's width and height, and of the square of pixels that a texture is made of
MIN_OUTLINE, MIN_TEXTURE = 64, 24
# pixels that outlines keep from the edge, where polygons end early; and of one in pieces the share of the largest
MARGIN, ONE_PIECE = 3, 0.95
BACKGROUNDS = ('grey', 'own')


@dataclass(frozen=True, eq=False)
class CueImage:
    """An image of one object.

    Attributes:
        image: ``[H, W, 3]`` uint8, RGB.
        mask: ``[H, W]``, the object's pixels.
        shape: the classes that have its outline.
        texture: the classes that have its texture; where the cues agree, one of them has both.
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
    """Draw objects with the shapes and textures of :func:`look`, all possible pairs of cues equally often.

    Args:
        classes: names of the classes with the looks 0, 1, 2, ...
        count: images.
        size: height and width in pixels.
        seed: equal arguments give equal images.
        agree: take the pairs of cues that some class has, instead of those that none has.

    Raises:
        ValueError: too few classes to disagree.
    """
    looks = [look(index) for index in range(len(classes))]
    shapes, textures = (list(dict.fromkeys(cue)) for cue in zip(*looks))
    pairs = [pair for pair in product(shapes, textures) if (pair in looks) == agree]
    if not pairs:
        raise ValueError(f'cues that disagree need two classes that differ in shape and texture, got {list(classes)}')

    for index in range(count):
        shape, texture = pairs[index % len(pairs)]
        image, mask = make_object(np.random.default_rng([seed, agree, index]), size, shape, texture)
        named = [
            tuple(name for name, has in zip(classes, looks) if has[which] is cue)
            for which, cue in enumerate((shape, texture))
        ]
        yield CueImage(image, mask, *named)


def portrait(cue: CueImage) -> CueImage:
    """Return the object alone, as large as the image was, as synthetic images for classifiers show it."""
    image, mask = (np.array(close_up(layer, cue.box)) for layer in (cue.image, cue.mask.astype(np.uint8) * 255))
    return replace(cue, image=image, mask=mask > 127)


class Instance(NamedTuple):
    """An object of a data set: where its image is, its mask ``[H, W]``, and the square of its pixels."""

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

    The texture is the largest square inside an instance, mirrored until it covers the outline, so that nothing of its
    own outline is left. Each outline is used once, the classes in turn, so there may be fewer images than ``count``.

    Args:
        annotations: in COCO's format, with masks.
        images: folder of the images.
        classes: names of categories to take.
        count: images, at most.
        seed: equal arguments give equal images.
        agree: leave the instances as they are.
        background: around the object; ``grey``, or its ``own``, which is a third cue, and on the outline's side.

    Raises:
        ValueError: an unknown background, or no two classes with usable instances.
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

    shuffled = [[instances[i] for i in rng.permutation(len(instances))] for instances in outlines.values()]
    in_turn = [instance for instance in chain(*zip_longest(*shuffled)) if instance is not None]
    for outline in in_turn[:count]:
        image = _read(outline.path)
        canvas = image if background == 'own' else np.full_like(image, GREY)
        other = outline.name

        if agree:
            canvas[outline.mask] = image[outline.mask]
        else:
            other = rng.choice([name for name in textures if name != outline.name])
            source = textures[other][rng.integers(len(textures[other]))]
            _fill(canvas, outline.mask, _read(source.path)[source.square])

        yield CueImage(canvas, outline.mask, (outline.name,), (str(other),))


def inner_square(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return rows and columns of a largest square of odd side within ``mask`` ``[H, W]``, empty if that is."""
    distance = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_C, 3)[1:-1, 1:-1]
    row, column = np.unravel_index(distance.argmax(), distance.shape)
    reach = int(distance[row, column]) - 1
    return slice(row - reach, row + reach + 1), slice(column - reach, column + reach + 1)


def _instances(annotations: Path, images: Path, classes: Sequence[str]) -> Iterator[Instance]:
    from pycocotools.coco import COCO

    with redirect_stdout(StringIO()):
        coco = COCO(str(annotations))

    names = {number: category['name'] for number, category in coco.cats.items()}
    for annotation in coco.anns.values():
        if names[annotation['category_id']] in classes and not annotation.get('iscrowd'):
            mask = coco.annToMask(annotation).astype(np.bool_)
            path = Path(images) / coco.imgs[annotation['image_id']]['file_name']
            # polygons are not exact
            square = inner_square(cv2.erode(mask.astype(np.uint8), np.ones((5, 5))) > 0)
            yield Instance(path, names[annotation['category_id']], mask, square)


def _has_outline(mask: NDArray[np.bool_]) -> bool:
    """Whether a mask is large enough to have a form, in one piece, and within the image."""
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
    missing = [(0, max(0, wanted - has)) for wanted, has in zip((height, width), patch.shape)]
    cover = np.pad(patch, (*missing, (0, 0)), mode='symmetric')[:height, :width]
    window = slice(top, top + height), slice(left, left + width)
    canvas[window][mask[window]] = cover[mask[window]]


def _read(path: Path) -> NDArray[np.uint8]:
    image = cv2.imread(str(path))
    if image is None:
        raise ValueError(f'{path} cannot be read as an image')
    return image[..., ::-1].copy()
