"""Write synthetic scenes to disk in the layout of a real data set, so that its usual reader takes them for it."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import ade20k, cityscapes, coco, imagenet, voc
from .scenes import VERSION, Scene, make_scene
from .shapes import look
from .write_once import write_whole


@dataclass(frozen=True)
class Layout:
    """One data set's place and form.

    Attributes:
        folder: where the set lies under a ``data`` folder, as mmseg and mmdet have it.
        data_root: the ``data_root`` of this repository's configs for it, under the same folder (VOC2012: segmentation).
        classes: names that the classes of scenes get, in their order; real names of that data set.
        write: ``write(folder, train, val)`` writes the files of two sequences of scenes.
        min_train: scenes for training that the splits need.
    """

    folder: str
    data_root: str
    classes: tuple[str, ...]
    write: Callable[[Path, Sequence[Scene], Sequence[Scene]], None]
    min_train: int = 1


LAYOUTS = {
    'ade20k': Layout('ade/ADEChallengeData2016', 'ade/ADEChallengeData2016', ade20k.CLASSES, ade20k.write),
    'cityscapes': Layout('cityscapes', 'cityscapes', cityscapes.CLASSES, cityscapes.write),
    'coco': Layout('coco', 'coco', coco.CLASSES, coco.write),
    'imagenet': Layout('imagenet', 'imagenet', imagenet.CLASSES, imagenet.write),
    'voc2012': Layout('VOCdevkit/VOC2012', 'VOCdevkit/VOC2012', voc.CLASSES, voc.write_2012, min_train=2),
    'voc2007': Layout('VOCdevkit/VOC2007', 'VOCdevkit', voc.CLASSES, voc.write_2007, min_train=2),
}


@dataclass(frozen=True)
class Split(Sequence[Scene]):
    """Scenes of one split, drawn when asked for. Scene i is the same however many there are."""

    length: int
    seed: tuple[int, ...]
    size: tuple[int, int]
    num_classes: int

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Scene:
        if not 0 <= index < self.length:
            raise IndexError(f'index must be in [0, {self.length}), got {index}')
        return make_scene(np.random.default_rng([*self.seed, index]), self.size, self.num_classes)


@dataclass(frozen=True)
class WrittenSet:
    """What ``write_scenes`` left on disk: ``reused`` if an equal set was there already and was left as it was."""

    folder: Path
    data_root: Path
    train: int
    val: int
    reused: bool


def write_scenes(
    layout: str,
    root: str | Path,
    *,
    images: int = 200,
    size: int | tuple[int, int] = 256,
    seed: int = 0,
    val_fraction: float = 0.2,
    num_classes: int = 8,
    overwrite: bool = False,
) -> WrittenSet:
    """Write ``images`` scenes below ``root`` in the layout of a real data set; equal arguments give equal files.

    ``root`` takes the place of the configs' ``data`` folder: ``ade20k`` goes to ``root/ade/ADEChallengeData2016``,
    ``voc2007`` to ``root/VOCdevkit/VOC2007``. The set appears there when it is complete and not before. An equal set
    that is there already is kept; nothing but a synthetic set is ever replaced.

    Args:
        layout: one of ``LAYOUTS``.
        root: folder to write below; made if missing.
        images: scenes in all.
        size: height and width of the images in pixels, or one number for both.
        seed: not negative; with the layout's name it decides every pixel.
        val_fraction: share of the images for validation (VOC2007: test), in (0, 1); each split gets one at least.
        num_classes: classes of objects, those ``LAYOUTS[layout].classes`` begins with; the background is not counted.
        overwrite: replace a synthetic set made with other arguments.

    Raises:
        ValueError: an argument out of its range.
        FileExistsError: other files are in the way.
    """
    if layout not in LAYOUTS:
        raise ValueError(f'layout must be one of {", ".join(LAYOUTS)}, got {layout!r}')

    form = LAYOUTS[layout]
    size = (size, size) if isinstance(size, int) else tuple(size)
    if not 1 <= num_classes <= len(form.classes):
        raise ValueError(f'num_classes must be in [1, {len(form.classes)}] for {layout}, got {num_classes}')
    if not 0 < val_fraction < 1:
        raise ValueError(f'val_fraction must be in (0, 1), got {val_fraction}')
    if images < form.min_train + 1:
        raise ValueError(f'images must be at least {form.min_train + 1} for the splits of {layout}, got {images}')
    if seed < 0:
        raise ValueError(f'seed must not be negative, got {seed}')

    val = min(max(1, round(images * val_fraction)), images - form.min_train)
    # the layout is in the seed, so that VOC2012 has no image of VOC2007's test split
    stream = (seed, zlib.crc32(layout.encode()))
    splits = [Split(length, (*stream, k), size, num_classes) for k, length in enumerate((images - val, val))]
    description = {
        'generator': f'lkdense.data.synthetic {VERSION}',
        'layout': layout,
        'images': images,
        'size': list(size),
        'seed': seed,
        'val_fraction': val_fraction,
        'classes': {name: _describe(index) for index, name in enumerate(form.classes[:num_classes])},
    }
    folder = Path(root) / form.folder
    reused = not write_whole(folder, description, lambda path: form.write(path, *splits), overwrite)

    return WrittenSet(folder, Path(root) / form.data_root, images - val, val, reused)


def _describe(index: int) -> str:
    shape, texture = look(index)
    return f'{shape.__name__} with {texture.__name__}'
