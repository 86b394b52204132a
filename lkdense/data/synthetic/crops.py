"""Classification from a segmentation set: square crops, each of the class of most of its pixels.

The same photographs and the same classes, but one label for an image: what a backbone does on it can be set
beside what it does on the dense task. Classes that never fill a crop do not occur.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .write_once import write_whole

# of a crop's pixels, how many must be of its class
MAJORITY = 0.5
# a class with fewer crops for training is left out
FEWEST = 100


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
        images: folder of a folder of images for each part.
        labels: the same of label maps with the images' names, ending in ``.png``; value k is class k, others none.
        classes: names of the classes.
        parts: the folders that serve for training and for validation.
        size: side of a crop in pixels; crops begin at multiples of half of it.
        per_class: crops of a class for training at the most, drawn at random; a quarter of it for validation.
        seed: decides which.

    Raises:
        ValueError: no image, or no class of which there are crops enough.
        FileExistsError: another set, or other files, are there.
    """
    description = {'generator': 'lkdense crops', 'of': Path(images).name, 'parts': list(parts), 'size': size}
    description |= {'per_class': per_class, 'seed': seed, 'classes': list(classes)}

    def write(path: Path) -> None:
        rng, kept = np.random.default_rng(seed), None
        for name, part, most in zip(('train', 'val'), parts, (per_class, -(-per_class // 4))):
            found = _find(Path(images, part), Path(labels, part), size, len(classes))
            kept = kept or [k for k in range(len(classes)) if len(found[k]) >= FEWEST]
            if len(kept) < 2:
                raise ValueError(f'of {", ".join(classes)} at least two must fill {FEWEST} crops of {size} pixels')

            for k in kept:
                target = path / name / classes[k]
                target.mkdir(parents=True)
                for index in sorted(rng.permutation(len(found[k]))[:most]):
                    image, x, y = found[k][index]
                    crop = Image.open(image).convert('RGB').crop((x, y, x + size, y + size))
                    crop.save(target / f'{image.stem}_{y}_{x}.png')

    write_whole(Path(folder), description, write)


def _find(images: Path, labels: Path, size: int, count: int) -> list[list[tuple[Path, int, int]]]:
    """Return image, x and y of every crop, for each class."""
    found = [[] for _ in range(count)]
    paths = sorted(images.iterdir()) if images.is_dir() else []
    if not paths:
        raise ValueError(f'expected images in {images}, found none')

    for path in paths:
        truth = np.array(Image.open(labels / f'{path.stem}.png'))
        for y in range(0, truth.shape[0] - size + 1, size // 2):
            for x in range(0, truth.shape[1] - size + 1, size // 2):
                k = _majority(truth[y : y + size, x : x + size], count)
                if k is not None:
                    found[k].append((path, x, y))

    return found


def _majority(truth: NDArray[np.uint8], count: int) -> int | None:
    pixels = np.bincount(truth.ravel(), minlength=count)[:count]
    return int(pixels.argmax()) if pixels.max() >= MAJORITY * truth.size else None
