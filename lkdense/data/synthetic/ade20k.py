"""The layout of ADE20K's scene parsing set: ``images`` and ``annotations``, each with ``training`` and ``validation``.

Labels are 1 to 150 and 0 is 'other', which mmseg's ``reduce_zero_label`` turns into 'ignored'. Here the background is
label 1 (wall), a class like any other; the shapes are 2, 3, ... and only clutter is 0.
"""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from .scenes import Scene

OTHER, WALL = 0, 1
# Labels 2 to 33: one for each pair of shape and texture.
CLASSES = (
    *('building', 'sky', 'floor', 'tree', 'ceiling', 'road', 'bed', 'windowpane', 'grass', 'cabinet', 'sidewalk'),
    *('person', 'earth', 'door', 'table', 'mountain', 'plant', 'curtain', 'chair', 'car', 'water', 'painting'),
    *('sofa', 'shelf', 'house', 'sea', 'mirror', 'rug', 'field', 'armchair', 'seat', 'fence'),
)
LABELS = list(range(WALL + 1, WALL + 1 + len(CLASSES)))


def write(folder: Path, train: Sequence[Scene], val: Sequence[Scene]) -> None:
    """Write ``images/*/*.jpg`` and ``annotations/*/*.png`` below ``folder``."""
    for split, short, scenes in (('training', 'train', train), ('validation', 'val', val)):
        images, annotations = folder / 'images' / split, folder / 'annotations' / split
        images.mkdir(parents=True)
        annotations.mkdir(parents=True)

        for number, scene in enumerate(scenes, start=1):
            name = f'ADE_{short}_{number:08d}'
            Image.fromarray(scene.image).save(images / f'{name}.jpg', quality=95)
            labels = scene.label_map(LABELS, background=WALL, clutter=OTHER)
            Image.fromarray(labels).save(annotations / f'{name}.png')
