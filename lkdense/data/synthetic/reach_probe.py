"""A probe of reach: only a marker at a stated distance from a region, in pixels, tells the class of the region.

An image holds several pairs of a textured patch and a coloured marker, joined by a thin link along a row or a column.
The marker's colour, red or blue, is the class of its patch. Patches look alike and colours are drawn independently, so
that nothing in an image but its own marker tells the class of a patch. Probes differ only in the distance between the
middles of patch and marker.

One set has three forms: segmentation (the pixels of the patches, all others ignored), detection (a box for each patch,
COCO's format), and classification of the whole image by a local cue, the direction of the stripes on its patches.

The probe shows whether a network can reach that far and learns to. It says nothing about photographs.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .atomic_write import write_atomically

CLASSES = ('red', 'blue')
STRIPES = ('falling', 'rising')
COLORS = np.array([[200, 60, 60], [60, 60, 200]], np.float32)
PALETTE = COLORS.astype(int).tolist()
IGNORED = 255
CHANCE = 50.0  # percent of pixels: the two classes are equally likely

# Side of a patch and of a marker, width of a link, height of a lane, and period of the stripes, in pixels.
PATCH, MARKER, LINK, LANE = 8, 8, 2, 16
PERIOD = 4
# Each image has this many pairs, one in a lane.
PAIRS = 8


class Pair(NamedTuple):
    """The box of a patch as x0, y0, x1, y1 in pixels, x1 and y1 being the first ones outside, and its class."""

    box: tuple[int, int, int, int]
    label: int


class ReachImage(NamedTuple):
    """An image ``[H, W, 3]`` uint8, RGB, its pairs, and the index in ``STRIPES`` of the direction on its patches."""

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
        rng: decides everything that is drawn.
        distance: between the middles of a patch and its marker, in pixels.
        size: side of the image in pixels.

    Raises:
        ValueError: the pairs do not fit into the image, or patch and marker would touch.

    >>> probe = make_reach_image(np.random.default_rng(0), distance=24)
    >>> probe.image.shape, len(probe.pairs), np.unique(probe.label_map()).tolist()
    ((128, 128, 3), 8, [0, 1, 255])
    """
    if size < PAIRS * LANE:
        raise ValueError(f'size must be at least {PAIRS * LANE} pixels for {PAIRS} pairs, got {size}')

    shortest, longest = (PATCH + MARKER) // 2 + 2, size - (PATCH + MARKER) // 2
    if not shortest <= distance <= longest:
        raise ValueError(f'distance must be in [{shortest}, {longest}] in images of {size} pixels, got {distance}')

    stripes, along_columns = int(rng.integers(2)), rng.random() < 0.5
    # Colours are independent: if both were equally frequent, the markers in sight would say something about one that
    # is out of sight.
    labels = rng.integers(len(CLASSES), size=PAIRS).tolist()
    image = 110 + 8 * rng.standard_normal((size, size, 1), np.float32).repeat(3, axis=2)

    pairs = []
    lanes = np.sort(rng.permutation(size // LANE)[:PAIRS]).tolist()
    for lane, label in zip(lanes, labels):
        middle = lane * LANE + LANE // 2
        patch = int(rng.integers(PATCH // 2, size - distance - MARKER // 2 + 1))
        is_left = rng.random() < 0.5

        # A pair is drawn with its patch on the left, into a mirrored view of the image where the patch is on the right.
        # Mirroring turns the stripes over, but transposing does not.
        view = image if is_left else image[:, ::-1]
        falling = (STRIPES[stripes] == 'falling') == is_left
        _draw_pair(view, middle, patch, patch + distance, falling, label)

        x0, y0 = patch - PATCH // 2, middle - PATCH // 2
        if not is_left:
            x0 = size - x0 - PATCH
        if along_columns:
            x0, y0 = y0, x0
        pairs.append(Pair((x0, y0, x0 + PATCH, y0 + PATCH), label))

    image = image.transpose(1, 0, 2) if along_columns else image
    image = image + 5 * rng.standard_normal(image.shape, np.float32)
    return ReachImage(np.clip(image + 0.5, 0, 255).astype(np.uint8), pairs, stripes)


def _draw_pair(image: NDArray[np.float32], middle: int, patch: int, marker: int, falling: bool, label: int) -> None:
    """Draw a patch, a marker to its right and their link, in place, around two columns of the row ``middle``."""
    image[middle - LINK // 2 : middle + LINK // 2, patch:marker] = 180

    top, left = middle - PATCH // 2, patch - PATCH // 2
    y, x = np.mgrid[top : top + PATCH, left : left + PATCH]
    slope = 1 if falling else -1
    is_dark = (y - slope * x) % PERIOD < PERIOD // 2
    image[top : top + PATCH, left : left + PATCH] = np.where(is_dark, 60, 200)[..., None]

    top, left = middle - MARKER // 2, marker - MARKER // 2
    image[top : top + MARKER, left : left + MARKER] = COLORS[label]


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
        ValueError: an argument is out of its range.
        FileExistsError: another set, or other files, are there.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as root:
    ...     write_reach(f'{root}/probe', 24, train=2, val=1)
    ...     sorted(path.name for path in Path(root, 'probe').iterdir())
    ['annotations', 'images', 'instances_train.json', 'instances_val.json', 'stripes', 'synthetic.json']
    """
    if min(train, val) < 1:
        raise ValueError(f'each part needs at least one image, got {train} for training and {val} for validation')

    # Drawing one image checks the other arguments before anything is written.
    make_reach_image(np.random.default_rng(0), distance, size)

    description = {
        'generator': 'lkdense reach probe',
        'distance': distance,
        'train': train,
        'val': val,
        'size': [size, size],
        'seed': seed,
        'classes': CLASSES,
    }

    def write(path: Path) -> None:
        for part, (name, count) in enumerate((('train', train), ('val', val))):
            images = []
            for index in range(count):
                rng = np.random.default_rng([seed, distance, part, index])
                images.append(make_reach_image(rng, distance, size))
            _write_part(path, name, images)

    write_atomically(Path(folder), description, write)


def _write_part(folder: Path, part: str, images: Sequence[ReachImage]) -> None:
    for kind in ('images', 'annotations', 'stripes'):
        (folder / kind / part).mkdir(parents=True)
    for name in STRIPES:
        (folder / 'stripes' / part / name).mkdir()

    entries, objects = [], []
    for image_id, probe in enumerate(images, start=1):
        name = f'{image_id:06d}.png'
        picture = Image.fromarray(probe.image)
        picture.save(folder / 'images' / part / name)
        picture.save(folder / 'stripes' / part / STRIPES[probe.stripes] / name)
        Image.fromarray(probe.label_map()).save(folder / 'annotations' / part / name)

        height, width = probe.image.shape[:2]
        entries.append({'id': image_id, 'file_name': name, 'height': height, 'width': width})
        for pair in probe.pairs:
            objects.append(_coco_object(pair, image_id, len(objects) + 1))

    content = {
        'images': entries,
        'annotations': objects,
        'categories': [{'id': index, 'name': name} for index, name in enumerate(CLASSES, start=1)],
    }
    (folder / f'instances_{part}.json').write_text(json.dumps(content))


def _coco_object(pair: Pair, image_id: int, object_id: int) -> dict:
    x0, y0, x1, y1 = pair.box
    return {
        'id': object_id,
        'image_id': image_id,
        'category_id': pair.label + 1,
        'bbox': [x0, y0, x1 - x0, y1 - y0],
        'segmentation': [[x0, y0, x1, y0, x1, y1, x0, y1]],
        'area': (x1 - x0) * (y1 - y0),
        'iscrowd': 0,
    }
