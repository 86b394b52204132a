"""The layouts of Pascal VOC 2012 (segmentation with the augmented set, and detection) and VOC 2007 (detection).

The training scenes of VOC2012 are halved: the first half is in ``Segmentation/train.txt`` and has class and object
maps with a void contour, the second is in ``Segmentation/aug.txt`` and has only a map in ``SegmentationClassAug``,
without a contour, as mmseg's conversion of the augmented set leaves it. Detection uses both halves. VOC2007 halves the
training scenes into train and val, and its test split takes the scenes for validation. Clutter is void, and not
annotated for detection.
"""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .scenes import Scene

VOID = 255
CLASSES = (
    *('aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat', 'chair', 'cow', 'diningtable', 'dog'),
    *('horse', 'motorbike', 'person', 'pottedplant', 'sheep', 'sofa', 'train', 'tvmonitor'),
)
LABELS = list(range(1, len(CLASSES) + 1))
# An object of which a smaller share is visible is marked as difficult.
DIFFICULT_BELOW = 0.5


def write_2012(folder: Path, train: Sequence[Scene], val: Sequence[Scene]) -> None:
    """Write a ``VOC2012``: detection splits train, val, trainval; for segmentation also aug and trainaug."""
    for kind in ('SegmentationClass', 'SegmentationObject', 'SegmentationClassAug'):
        (folder / kind).mkdir()

    names = [f'2012_{number:06d}' for number in range(1, len(train) + len(val) + 1)]
    half = (len(train) + 1) // 2
    first, second, last = names[:half], names[half : len(train)], names[len(train) :]

    presence = {}
    for name, scene in zip(names, chain(train, val), strict=True):
        presence[name] = _write_detection(folder, 'VOC2012', name, scene, segmented=name not in second)
        labels = scene.label_map(LABELS, background=0, clutter=VOID)
        Image.fromarray(labels).save(folder / 'SegmentationClassAug' / f'{name}.png')
        if name not in second:
            contour = _contour(scene.objects)
            _save_palette(np.where(contour, VOID, labels), folder / 'SegmentationClass' / f'{name}.png')
            _save_palette(np.where(contour, VOID, scene.objects), folder / 'SegmentationObject' / f'{name}.png')

    splits = {'train': first, 'val': last, 'trainval': first + last, 'aug': second, 'trainaug': first + second}
    _write_lists(folder / 'ImageSets' / 'Segmentation', splits)

    main = {'train': first + second, 'val': last, 'trainval': names}
    _write_lists(folder / 'ImageSets' / 'Main', main)
    _write_class_lists(folder / 'ImageSets' / 'Main', main, presence)


def write_2007(folder: Path, train: Sequence[Scene], val: Sequence[Scene]) -> None:
    """Write a ``VOC2007``: detection splits train, val, trainval and, with the scenes for validation, test."""
    names = [f'{number:06d}' for number in range(1, len(train) + len(val) + 1)]
    half, trainval = (len(train) + 1) // 2, len(train)

    presence = {}
    for name, scene in zip(names, chain(train, val), strict=True):
        presence[name] = _write_detection(folder, 'VOC2007', name, scene, segmented=False)

    main = {
        'train': names[:half],
        'val': names[half:trainval],
        'trainval': names[:trainval],
        'test': names[trainval:],
    }
    _write_lists(folder / 'ImageSets' / 'Main', main)
    _write_class_lists(folder / 'ImageSets' / 'Main', main, presence)


def _write_detection(folder: Path, devkit: str, name: str, scene: Scene, segmented: bool) -> dict[int, int]:
    """Write the image and its XML; return for each class in it 1, or 0 if all its objects are difficult."""
    for kind in ('JPEGImages', 'Annotations'):
        (folder / kind).mkdir(exist_ok=True)
    Image.fromarray(scene.image).save(folder / 'JPEGImages' / f'{name}.jpg', quality=95)
    tree = annotation(scene, devkit, f'{name}.jpg', segmented)
    tree.write(folder / 'Annotations' / f'{name}.xml')

    presence = {}
    for index, visible in zip(scene.classes, scene.visible, strict=True):
        presence[index] = max(presence.get(index, 0), int(visible >= DIFFICULT_BELOW))
    return presence


def annotation(scene: Scene, devkit: str, file_name: str, segmented: bool) -> ElementTree.ElementTree:
    """Return VOC's XML of a scene: boxes in pixels counted from 1, the last ones included."""
    height, width = scene.objects.shape
    root = ElementTree.Element('annotation')
    _fill(root, {'folder': devkit, 'filename': file_name, 'source': {'database': 'lkdense synthetic scenes'}})
    _fill(root, {'size': {'width': width, 'height': height, 'depth': 3}, 'segmented': int(segmented)})

    for index, visible, (x0, y0, x1, y1) in zip(scene.classes, scene.visible, scene.boxes.tolist(), strict=True):
        entry = {
            'name': CLASSES[index],
            'pose': 'Unspecified',
            'truncated': int(x0 == 0 or y0 == 0 or x1 == width or y1 == height),
            'difficult': int(visible < DIFFICULT_BELOW),
            'bndbox': {'xmin': x0 + 1, 'ymin': y0 + 1, 'xmax': x1, 'ymax': y1},
        }
        _fill(root, {'object': entry})

    ElementTree.indent(root, '\t')
    return ElementTree.ElementTree(root)


def palette() -> NDArray[np.uint8]:
    """Return VOC's colours of the labels, ``[256, 3]``: the bits of a label, three at a time, from the top of R, G, B.

    >>> palette()[:4].tolist()
    [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
    """
    colours = np.zeros((256, 3), np.uint8)
    labels = np.arange(256)
    for bit in range(8):
        for channel in range(3):
            is_set = labels >> (3 * bit + channel) & 1
            colours[:, channel] |= (is_set << (7 - bit)).astype(np.uint8)
    return colours


def _fill(parent: ElementTree.Element, entries: dict) -> None:
    for tag, value in entries.items():
        child = ElementTree.SubElement(parent, tag)
        if isinstance(value, dict):
            _fill(child, value)
        else:
            child.text = str(value)


def _contour(objects: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return the pixels next to another object or the background: void in VOC, two pixels wide here."""
    window = np.ones((3, 3), np.uint8)
    return cv2.dilate(objects, window) != cv2.erode(objects, window)


def _save_palette(labels: NDArray, path: Path) -> None:
    picture = Image.fromarray(labels.astype(np.uint8))
    picture.putpalette(palette().tobytes())
    picture.save(path)


def _write_lists(folder: Path, splits: dict[str, list[str]]) -> None:
    folder.mkdir(parents=True)
    for split, names in splits.items():
        (folder / f'{split}.txt').write_text(''.join(f'{name}\n' for name in names))


def _write_class_lists(folder: Path, splits: dict[str, list[str]], presence: dict[str, dict[int, int]]) -> None:
    """Write ``<class>_<split>.txt``: 1 where an image shows the class, 0 where all are difficult, -1 where none is."""
    for split, names in splits.items():
        for index, category in enumerate(CLASSES):
            lines = [f'{name} {presence[name].get(index, -1):2d}\n' for name in names]
            (folder / f'{category}_{split}.txt').write_text(''.join(lines))
