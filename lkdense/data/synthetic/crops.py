"""Classification from a segmentation set: square crops, each of the class that most of its pixels have.

The photographs and the classes are the same, but an image has one label, so that what a backbone does here can be
compared with what it does on the dense task. Classes that never fill a crop do not occur.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .atomic_write import write_atomically

# The share of a crop's pixels that must be of its class.
MAJORITY = 0.5
# A class with fewer crops for training is left out.
FEWEST = 100


class Crop(NamedTuple):
    """Where a crop lies: its image, and its left upper corner in pixels."""

    image: Path
    x: int
    y: int


def write_crops(
    folder: str | Path,
    images: str | Path,
    labels: str | Path,
    classes: Sequence[str],
    *,
    parts: Sequence[str] = ('train', 'val'),
    size: int = 64,
    per_class: int = 300,
    seed: int = 0,
) -> None:
    """Write ``{train,val}/CLASS/*.png`` below ``folder``, or keep an equal set that is there.

    Args:
        folder: made if missing; it holds one set.
        images: a folder that has a folder of images for each part.
        labels: the same for label maps with the images' names, ending in ``.png``; value k is class k, others none.
        classes: names of the classes.
        parts: the folders that serve for training and for validation.
        size: side of a crop in pixels; crops begin at multiples of half of it.
        per_class: crops of a class for training at the most, drawn at random; a quarter of it for validation.
        seed: decides which crops are drawn.

    Raises:
        ValueError: there is no image, or fewer than two classes have enough crops.
        FileExistsError: another set, or other files, are there.
    """
    description = {
        'generator': 'lkdense crops',
        'of': Path(images).name,
        'parts': list(parts),
        'size': size,
        'per_class': per_class,
        'seed': seed,
        'classes': list(classes),
    }
    limits = (per_class, math.ceil(per_class / 4))

    def write(path: Path) -> None:
        rng, chosen = np.random.default_rng(seed), []

        for name, part, limit in zip(('train', 'val'), parts, limits):
            crops = _list_crops(Path(images, part), Path(labels, part), size, len(classes))
            # The training part decides which classes there are, and validation has the same ones.
            chosen = chosen or [label for label in range(len(classes)) if len(crops[label]) >= FEWEST]
            if len(chosen) < 2:
                raise ValueError(f'of {", ".join(classes)} at least two must fill {FEWEST} crops of {size} pixels')

            for label in chosen:
                indices = sorted(rng.permutation(len(crops[label]))[:limit])
                _save_crops([crops[label][index] for index in indices], size, path / name / classes[label])

    write_atomically(Path(folder), description, write)


def _list_crops(images: Path, labels: Path, size: int, num_classes: int) -> list[list[Crop]]:
    """Return all crops of each class."""
    paths = sorted(images.iterdir()) if images.is_dir() else []
    if not paths:
        raise ValueError(f'expected images in {images}, found none')

    crops = [[] for _ in range(num_classes)]
    for path in paths:
        truth = np.array(Image.open(labels / f'{path.stem}.png'))
        for y in range(0, truth.shape[0] - size + 1, size // 2):
            for x in range(0, truth.shape[1] - size + 1, size // 2):
                label = _majority(truth[y : y + size, x : x + size], num_classes)
                if label is not None:
                    crops[label].append(Crop(path, x, y))

    return crops


def _majority(truth: NDArray[np.uint8], num_classes: int) -> int | None:
    pixels = np.bincount(truth.ravel(), minlength=num_classes)[:num_classes]
    return int(pixels.argmax()) if pixels.max() >= MAJORITY * truth.size else None


def _save_crops(crops: Sequence[Crop], size: int, folder: Path) -> None:
    folder.mkdir(parents=True)
    for path, x, y in crops:
        pixels = Image.open(path).convert('RGB').crop((x, y, x + size, y + size))
        pixels.save(folder / f'{path.stem}_{y}_{x}.png')
