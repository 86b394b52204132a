"""The layout of ImageNet-1K for classifiers: ``train`` and ``val``, each with a folder for every class.

An image shows the object of which most is visible, with what is close around it, and has the class of that object.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .scenes import Scene

CLASSES = (
    *('n01440764', 'n01443537', 'n01484850', 'n01491361', 'n01494475'),
    *('n01496331', 'n01498041', 'n01514668', 'n01514859', 'n01518878'),
)

# A crop shows this share of the object's width and height on each side of it.
MARGIN = 0.25


def write(folder: Path, train: Sequence[Scene], val: Sequence[Scene]) -> None:
    """Write ``train/CLASS/*.JPEG`` and ``val/CLASS/*.JPEG`` below ``folder``."""
    for split, scenes in (('train', train), ('val', val)):
        for name in CLASSES:
            (folder / split / name).mkdir(parents=True)

        for number, scene in enumerate(scenes, start=1):
            image, label = crop_most_visible(scene)
            image.save(folder / split / CLASSES[label] / f'{CLASSES[label]}_{number}.JPEG', quality=95)


def crop_most_visible(scene: Scene) -> tuple[Image.Image, int]:
    """Return the most visible object of a scene, enlarged to the size of the scene, and its class."""
    index = int(scene.masks.sum((1, 2)).argmax())
    return crop_around(scene.image, scene.boxes[index].tolist()), scene.classes[index]


def crop_around(image: NDArray[np.uint8], box: Sequence[int]) -> Image.Image:
    """Return a box (left, top, right, bottom) of an image with a margin, enlarged to the size of the image."""
    height, width = image.shape[:2]
    left, top, right, bottom = box
    across, down = MARGIN * (right - left), MARGIN * (bottom - top)

    region = (max(left - across, 0), max(top - down, 0), min(right + across, width), min(bottom + down, height))
    return Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC, box=region)
