"""A probe of reach: the class of a region can only be read off a marker at a stated distance from it, in pixels.

An image holds several pairs of a textured patch and a coloured marker, joined by a thin link along a row or a column.
The marker's colour, red or blue, is the class of its patch. Patches look alike and colours are drawn independently, so
that nothing in an image but its own marker tells the class of a patch. Only the distance between the middles of patch
and marker differs from one probe to another.

One set has three forms: segmentation (the pixels of the patches, all others ignored), detection (a box a patch, COCO's
format), and classification of the whole image by what is local, the direction of the stripes on its patches.

It asks whether a network can reach that far and learns to. It says nothing about photographs.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .write_once import write_whole

CLASSES = ('red', 'blue')
STRIPES = ('falling', 'rising')
COLORS = np.array([[200, 60, 60], [60, 60, 200]], np.float32)
PALETTE = COLORS.astype(int).tolist()
IGNORED = 255
CHANCE = 50.0  # percent of pixels, of two classes that are equally likely

# in pixels
PATCH, MARKER, LINK, LANE = 8, 8, 2, 16
PERIOD = 4
# of each image: pairs, one a lane
PAIRS = 8


class Pair(NamedTuple):
    """A patch's box as x0, y0, x1, y1 in pixels, x1 and y1 being the first ones outside, and its class."""

    box: tuple[int, int, int, int]
    label: int


class ReachImage(NamedTuple):
    """An image ``[H, W, 3]`` uint8, RGB, its pairs, and the index in ``STRIPES`` of what its patches show."""

    image: NDArray[np.uint8]
    pairs: list[Pair]
    stripes: int

    def label_map(self) -> NDArray[np.uint8]:
        """Return the class of each pixel, ``[H, W]``, ``IGNORED`` outside the patches."""
        labels = np.full(self.image.shape[:2], IGNORED, np.uint8)
        for (x0, y0, x1, y1), label in self.pairs:
            labels[y0:y1, x0:x1] = label
        return labels


def make_reach_image(rng: np.random.Generator, distance: int, size: int = 128) -> ReachImage:
    """Draw one image.

    Args:
        rng: decides everything.
        distance: between the middles of a patch and its marker, in pixels.
        size: side of the image in pixels.

    Raises:
        ValueError: the pairs do not fit into the image, or patch and marker would touch.
    """
    if size < PAIRS * LANE:
        raise ValueError(f'size must be at least {PAIRS * LANE} pixels for {PAIRS} pairs, got {size}')

    shortest, longest = (PATCH + MARKER) // 2 + 2, size - (PATCH + MARKER) // 2
    if not shortest <= distance <= longest:
        raise ValueError(f'distance must be in [{shortest}, {longest}] in images of {size} pixels, got {distance}')

    stripes, along_columns = rng.integers(2), rng.random() < 0.5
    # independent: were both colours equally frequent, the markers in sight would tell something of the one that is not
    labels = rng.integers(len(CLASSES), size=PAIRS)
    image = 110 + 8 * rng.standard_normal((size, size, 1), np.float32).repeat(3, axis=2)
    pairs = []

    for lane, label in zip(np.sort(rng.permutation(size // LANE)[:PAIRS]), labels):
        middle = lane * LANE + LANE // 2
        # first as if the patch were on the left; mirrored where it is not
        patch = int(rng.integers(PATCH // 2, size - distance - MARKER // 2 + 1))
        left = rng.random() < 0.5
        y0, x0 = middle - PATCH // 2, patch - PATCH // 2
        y, x = np.mgrid[y0 : y0 + PATCH, x0 : x0 + PATCH]
        row = image if left else image[:, ::-1]
        row[middle - LINK // 2 : middle + LINK // 2, patch : patch + distance] = 180
        # mirroring turns the stripes over, transposing does not
        slope = 1 if stripes == (0 if left else 1) else -1
        row[y0 : y0 + PATCH, x0 : x0 + PATCH] = np.where((y - slope * x) % PERIOD < PERIOD // 2, 60, 200)[..., None]
        at = patch + distance - MARKER // 2
        row[middle - MARKER // 2 : middle + MARKER // 2, at : at + MARKER] = COLORS[label]
        x0 = x0 if left else size - x0 - PATCH
        box = (y0, x0, y0 + PATCH, x0 + PATCH) if along_columns else (x0, y0, x0 + PATCH, y0 + PATCH)
        pairs.append(Pair(tuple(map(int, box)), int(label)))

    image = image.transpose(1, 0, 2) if along_columns else image
    image = image + 5 * rng.standard_normal(image.shape, np.float32)

    return ReachImage(np.clip(image + 0.5, 0, 255).astype(np.uint8), pairs, int(stripes))


def write_reach(folder: str | Path, distance: int, *, train: int = 400, val: int = 100, size: int = 128, seed: int = 0):
    """Write one probe in its three forms, or keep an equal one that is there; equal arguments give equal files.

    ``images/{train,val}/*.png`` and ``annotations/{train,val}/*.png`` for segmentation, ``instances_{train,val}.json``
    in COCO's format for detection, ``stripes/{train,val}/CLASS/*.png`` for classification.

    Args:
        folder: made if missing; it holds one probe.
        distance: between the middles of patch and marker, in pixels.
        train: images for training.
        val: images for validation.
        size: side of the images in pixels.
        seed: not negative; it decides every pixel, together with ``distance``.

    Raises:
        ValueError: an argument out of its range.
        FileExistsError: another set, or other files, are there.
    """
    if min(train, val) < 1:
        raise ValueError(f'each part needs at least one image, got {train} for training and {val} for validation')

    make_reach_image(np.random.default_rng(0), distance, size)
    wanted = {'generator': 'lkdense reach probe', 'distance': distance, 'train': train, 'val': val}
    wanted |= {'size': [size, size], 'seed': seed, 'classes': CLASSES}

    def write(path: Path) -> None:
        for part, (name, count) in enumerate((('train', train), ('val', val))):
            images = [
                make_reach_image(np.random.default_rng([seed, distance, part, index]), distance, size)
                for index in range(count)
            ]
            _write_part(path, name, images)

    write_whole(Path(folder), wanted, write)


def _write_part(folder: Path, part: str, images: Sequence[ReachImage]) -> None:
    for inner in (f'images/{part}', f'annotations/{part}', *(f'stripes/{part}/{name}' for name in STRIPES)):
        (folder / inner).mkdir(parents=True)

    entries, objects = [], []
    for number, found in enumerate(images, start=1):
        name = f'{number:06d}.png'
        picture = Image.fromarray(found.image)
        picture.save(folder / 'images' / part / name)
        picture.save(folder / 'stripes' / part / STRIPES[found.stripes] / name)
        Image.fromarray(found.label_map()).save(folder / 'annotations' / part / name)
        height, width = found.image.shape[:2]
        entries.append({'id': number, 'file_name': name, 'height': height, 'width': width})
        objects += [_coco_object(pair, number, len(objects) + k) for k, pair in enumerate(found.pairs, start=1)]

    content = {
        'images': entries,
        'annotations': objects,
        'categories': [{'id': index, 'name': name} for index, name in enumerate(CLASSES, start=1)],
    }
    (folder / f'instances_{part}.json').write_text(json.dumps(content))


def _coco_object(pair: Pair, image: int, number: int) -> dict:
    x0, y0, x1, y1 = pair.box
    return {
        'id': number,
        'image_id': image,
        'category_id': pair.label + 1,
        'bbox': [x0, y0, x1 - x0, y1 - y0],
        'segmentation': [[x0, y0, x1, y0, x1, y1, x0, y1]],
        'area': (x1 - x0) * (y1 - y0),
        'iscrowd': 0,
    }
