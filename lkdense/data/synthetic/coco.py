"""The layout of COCO 2017: ``annotations/instances_*2017.json``, ``train2017`` and ``val2017``, all 80 categories.

Segmentations are polygons along the edges of the pixels, so that reading them back gives exactly the same masks.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .scenes import Scene
from .shapes import MAX_CLASSES

# Each supercategory with the ids and the names of its categories.
CATEGORIES = {
    'person': {1: 'person'},
    'vehicle': {
        2: 'bicycle', 3: 'car', 4: 'motorcycle', 5: 'airplane', 6: 'bus', 7: 'train', 8: 'truck', 9: 'boat',
    },
    'outdoor': {10: 'traffic light', 11: 'fire hydrant', 13: 'stop sign', 14: 'parking meter', 15: 'bench'},
    'animal': {
        16: 'bird', 17: 'cat', 18: 'dog', 19: 'horse', 20: 'sheep', 21: 'cow', 22: 'elephant', 23: 'bear',
        24: 'zebra', 25: 'giraffe',
    },
    'accessory': {27: 'backpack', 28: 'umbrella', 31: 'handbag', 32: 'tie', 33: 'suitcase'},
    'sports': {
        34: 'frisbee', 35: 'skis', 36: 'snowboard', 37: 'sports ball', 38: 'kite', 39: 'baseball bat',
        40: 'baseball glove', 41: 'skateboard', 42: 'surfboard', 43: 'tennis racket',
    },
    'kitchen': {
        44: 'bottle', 46: 'wine glass', 47: 'cup', 48: 'fork', 49: 'knife', 50: 'spoon', 51: 'bowl',
    },
    'food': {
        52: 'banana', 53: 'apple', 54: 'sandwich', 55: 'orange', 56: 'broccoli', 57: 'carrot', 58: 'hot dog',
        59: 'pizza', 60: 'donut', 61: 'cake',
    },
    'furniture': {
        62: 'chair', 63: 'couch', 64: 'potted plant', 65: 'bed', 67: 'dining table', 70: 'toilet',
    },
    'electronic': {
        72: 'tv', 73: 'laptop', 74: 'mouse', 75: 'remote', 76: 'keyboard', 77: 'cell phone',
    },
    'appliance': {78: 'microwave', 79: 'oven', 80: 'toaster', 81: 'sink', 82: 'refrigerator'},
    'indoor': {
        84: 'book', 85: 'clock', 86: 'vase', 87: 'scissors', 88: 'teddy bear', 89: 'hair drier', 90: 'toothbrush',
    },
}  # fmt: skip
# There are more categories than pairs of shape and texture: the first ones are used.
CATEGORY_IDS = list(chain(*CATEGORIES.values()))[:MAX_CLASSES]
CLASSES = tuple(chain(*(members.values() for members in CATEGORIES.values())))[:MAX_CLASSES]


def write(folder: Path, train: Sequence[Scene], val: Sequence[Scene]) -> None:
    """Write ``train2017/*.jpg``, ``val2017/*.jpg`` and their two annotation files below ``folder``."""
    (folder / 'annotations').mkdir()
    first_image = first_object = 1

    for split, scenes in (('train2017', train), ('val2017', val)):
        (folder / split).mkdir()
        images, annotations = [], []

        for image_id, scene in enumerate(scenes, start=first_image):
            file_name = f'{image_id:012d}.jpg'
            Image.fromarray(scene.image).save(folder / split / file_name, quality=95)

            height, width = scene.objects.shape
            images.append({'id': image_id, 'file_name': file_name, 'height': height, 'width': width, 'license': 1})
            annotations += objects(scene, image_id, first_object + len(annotations))

        contents = {
            'info': {'description': 'lkdense synthetic scenes', 'version': '1.0', 'year': 2017},
            'licenses': [{'id': 1, 'name': 'Public domain', 'url': ''}],
            'images': images,
            'annotations': annotations,
            'categories': [
                {'supercategory': group, 'id': number, 'name': name}
                for group, members in CATEGORIES.items()
                for number, name in members.items()
            ],
        }
        (folder / 'annotations' / f'instances_{split}.json').write_text(json.dumps(contents))

        first_image += len(images)
        first_object += len(annotations)


def objects(scene: Scene, image_id: int, first_id: int) -> list[dict]:
    """Return COCO's annotations of a scene; boxes are x, y, width, height."""
    entries = []
    for index, mask, (x0, y0, x1, y1) in zip(scene.classes, scene.masks, scene.boxes.tolist(), strict=True):
        entries.append(
            {
                'id': first_id + len(entries),
                'image_id': image_id,
                'category_id': CATEGORY_IDS[index],
                'segmentation': polygons(mask),
                'area': int(mask.sum()),
                'bbox': [x0, y0, x1 - x0, y1 - y0],
                'iscrowd': 0,
            }
        )

    return entries


def polygons(mask: NDArray[np.bool_]) -> list[list[int]]:
    """Return the outlines of ``mask`` ``[H, W]``, one ``[x0, y0, x1, y1, ...]`` in pixels for each connected piece.

    COCO's polygons have no holes. A cut, walked there and back, joins the outline of a hole to that of its piece.

    >>> polygons(np.ones((2, 3), bool))
    [[0, 0, 3, 0, 3, 2, 0, 2]]
    """
    count, pieces = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    outlines = []
    for piece in range(1, count):
        outer, *holes = _loops(pieces == piece)

        # A cut runs between the outer loop's first corner and the hole's; closing the polygon walks the last one back.
        corners = list(outer)
        for hole in holes:
            corners += [outer[0], *hole, hole[0]]

        outlines.append(list(chain.from_iterable(corners)))

    return outlines


def _loops(mask: NDArray[np.bool_]) -> list[list[tuple[int, int]]]:
    """Return closed walks along all pixel edges between inside and outside, as corners (x, y), the outer one first."""
    padded = np.pad(mask, 1)

    # Each edge is a step that has the inside to its right, as y points down: above, right of, below, left of a pixel.
    steps = defaultdict(list)
    for (dy, dx), start, end in (
        ((-1, 0), (0, 0), (1, 0)),
        ((0, 1), (1, 0), (1, 1)),
        ((1, 0), (1, 1), (0, 1)),
        ((0, -1), (0, 1), (0, 0)),
    ):
        outside = ~np.roll(padded, (-dy, -dx), (0, 1))[1:-1, 1:-1]
        for y, x in np.argwhere(mask & outside).tolist():
            steps[x + start[0], y + start[1]].append((x + end[0], y + end[1]))

    # The search goes from the top row's first corner, which is on the outer loop.
    loops = []
    for origin in sorted(steps, key=lambda corner: corner[::-1]):
        while steps[origin]:
            walk = [origin, steps[origin].pop()]
            while walk[-1] != origin:
                walk.append(steps[walk[-1]].pop())
            loops.append(_corners(walk))

    return loops


def _corners(walk: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the points of a closed walk at which it turns."""
    before = [walk[-2], *walk[:-2]]
    corners = []
    for (last_x, last_y), point, (next_x, next_y) in zip(before, walk[:-1], walk[1:], strict=True):
        if last_x != next_x and last_y != next_y:
            corners.append(point)

    return corners
