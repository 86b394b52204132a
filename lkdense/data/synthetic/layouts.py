"""Write synthetic scenes to disk in the layout of a real data set, so that its usual reader takes them for that set."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import ade20k, cityscapes, coco, imagenet, voc
from .atomic_write import write_atomically
from .scenes import VERSION, Scene, make_scene
from .shapes import shape_and_texture


@dataclass(frozen=True)
class Layout:
    """Where a data set lies, and how it is written.

    Attributes:
        folder: where the set lies under a ``data`` folder, as mmseg and mmdet have it.
        data_root: the ``data_root`` of this repository's configs for it, under the same folder (VOC2012: segmentation).
        classes: names for the classes of scenes, in their order; they are real names of that data set.
        write: ``write(folder, train, val)`` writes the files of two sequences of scenes.
        min_train: the fewest scenes for training that fill all splits.
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
class SyntheticSet:
    """A set on disk, as ``write_scenes`` leaves it.

    Attributes:
        folder: where the files are.
        data_root: the ``data_root`` for configs.
        train: images for training.
        val: images for validation.
        reused: whether an equal set was there already and was kept.
    """

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
) -> SyntheticSet:
    """Write ``images`` scenes below ``root`` in the layout of a real data set; equal arguments give equal files.

    ``root`` takes the place of the configs' ``data`` folder: ``ade20k`` goes to ``root/ade/ADEChallengeData2016``,
    ``voc2007`` to ``root/VOCdevkit/VOC2007``. The set appears there when it is complete and not before. An equal set
    that is there already is kept; nothing but a synthetic set is ever replaced.

    Args:
        layout: one of ``LAYOUTS``.
        root: folder to write below; made if missing.
        images: scenes in total.
        size: height and width of the images in pixels, or one number for both.
        seed: not negative; with the layout's name it decides every pixel.
        val_fraction: share of the images for validation (VOC2007: test), in (0, 1); each split gets at least one.
        num_classes: classes of objects, the first ones of ``LAYOUTS[layout].classes``; the background is not counted.
        overwrite: replace a synthetic set made with other arguments.

    Raises:
        ValueError: an argument is out of its range.
        FileExistsError: other files are in the way.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as root:
    ...     synthetic = write_scenes('coco', root, images=5, size=64)
    ...     synthetic.train, synthetic.val, sorted(path.name for path in synthetic.folder.iterdir())
    (4, 1, ['annotations', 'synthetic.json', 'train2017', 'val2017'])
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

    num_val = min(max(1, round(images * val_fraction)), images - form.min_train)
    num_train = images - num_val
    # The layout is part of the seed, so that VOC2012 has no image of VOC2007's test split.
    stream = (seed, zlib.crc32(layout.encode()))
    train = Split(num_train, (*stream, 0), size, num_classes)
    val = Split(num_val, (*stream, 1), size, num_classes)

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
    is_new = write_atomically(folder, description, lambda path: form.write(path, train, val), overwrite)
    return SyntheticSet(folder, Path(root) / form.data_root, num_train, num_val, reused=not is_new)


def _describe(index: int) -> str:
    shape, texture = shape_and_texture(index)
    return f'{shape.__name__} with {texture.__name__}'
