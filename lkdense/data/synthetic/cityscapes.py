"""The layout of Cityscapes: ``leftImg8bit/<split>/<city>`` and ``gtFine/<split>/<city>``.

The background is road. The first eight shapes are the eight classes of which Cityscapes counts instances, so that
``*_gtFine_instanceIds.png`` holds every object; later ones are stuff. Clutter is 'static', ignored in training.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .scenes import Scene

# Each name with its label id and its training id.
THINGS = {
    'person': (24, 11),
    'rider': (25, 12),
    'car': (26, 13),
    'truck': (27, 14),
    'bus': (28, 15),
    'train': (31, 16),
    'motorcycle': (32, 17),
    'bicycle': (33, 18),
}
STUFF = {
    'sidewalk': (8, 1),
    'building': (11, 2),
    'wall': (12, 3),
    'fence': (13, 4),
    'pole': (17, 5),
    'traffic light': (19, 6),
    'traffic sign': (20, 7),
    'vegetation': (21, 8),
    'terrain': (22, 9),
    'sky': (23, 10),
}
ROAD, STATIC = (7, 0), (4, 255)
CLASSES = (*THINGS, *STUFF)
LABEL_IDS = [label_id for label_id, _ in (THINGS | STUFF).values()]
TRAIN_IDS = [train_id for _, train_id in (THINGS | STUFF).values()]
# Each split has one of the real cities.
CITIES = {'train': 'aachen', 'val': 'frankfurt'}


def write(folder: Path, train: Sequence[Scene], val: Sequence[Scene]) -> None:
    """Write the images and their ``labelTrainIds``, ``labelIds`` and ``instanceIds`` below ``folder``."""
    for split, scenes in (('train', train), ('val', val)):
        city = CITIES[split]
        images, annotations = folder / 'leftImg8bit' / split / city, folder / 'gtFine' / split / city
        images.mkdir(parents=True)
        annotations.mkdir(parents=True)

        for number, scene in enumerate(scenes):
            name = f'{city}_{number:06d}_000019'
            Image.fromarray(scene.image).save(images / f'{name}_leftImg8bit.png')
            maps = {
                'labelTrainIds': scene.label_map(TRAIN_IDS, background=ROAD[1], clutter=STATIC[1]),
                'labelIds': scene.label_map(LABEL_IDS, background=ROAD[0], clutter=STATIC[0]),
                'instanceIds': instance_ids(scene),
            }

            for kind, values in maps.items():
                Image.fromarray(values).save(annotations / f'{name}_gtFine_{kind}.png')


def instance_ids(scene: Scene) -> NDArray[np.uint16]:
    """Return ``[H, W]``: for stuff the label id, for things 1000 times the label id plus a number from 0 in a class."""
    ids = scene.label_map(LABEL_IDS, background=ROAD[0], clutter=STATIC[0]).astype(np.uint16)
    for position, (index, mask) in enumerate(zip(scene.classes, scene.masks, strict=True)):
        if index < len(THINGS):
            number = scene.classes[:position].count(index)
            ids[mask] = LABEL_IDS[index] * 1000 + number

    return ids
