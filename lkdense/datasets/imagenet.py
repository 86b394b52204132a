"""The layout of ImageNet-1K for classifiers: ``train`` and ``val``, each with a folder for every class.

An image is of the class that its objects show most of.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from .scenes import Scene

CLASSES = (
    *('n01440764', 'n01443537', 'n01484850', 'n01491361', 'n01494475'),
    *('n01496331', 'n01498041', 'n01514668', 'n01514859', 'n01518878'),
)


def write(folder: Path, train: Sequence[Scene], val: Sequence[Scene]) -> None:
    """Write ``train/CLASS/*.JPEG`` and ``val/CLASS/*.JPEG`` below ``folder``."""
    for split, scenes in (('train', train), ('val', val)):
        for name in CLASSES:
            (folder / split / name).mkdir(parents=True)
        for number, scene in enumerate(scenes, start=1):
            name = CLASSES[largest_class(scene)]
            Image.fromarray(scene.image).save(folder / split / name / f'{name}_{number}.JPEG', quality=95)


def largest_class(scene: Scene) -> int:
    """Return the class with the most visible pixels."""
    return int(np.argmax(np.bincount(scene.classes, scene.masks.sum((1, 2)))))
