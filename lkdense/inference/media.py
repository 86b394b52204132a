"""Images and videos, and where what is drawn of them goes."""

from collections import Counter
from collections.abc import Iterator, Sequence
from glob import escape
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ..classification.image_folder import IMAGE_SUFFIXES
from ..classification.transforms import MEAN, STD
from ..errors import UserError

VIDEO_SUFFIXES = ('.mp4', '.avi', '.mov', '.mkv', '.webm')
# folders of what is written
PICTURES, LABELS = 'pictures', 'labels'
DETECTIONS = 'detections.json'
DEFAULT_RATE = 25  # frames a second, of a video that does not say


def open_source(source: Path, out: Path) -> 'ImageSource | VideoSource':
    """Open an image, a folder of images or a video; what is drawn of it goes into the folder ``out``.

    Raises:
        UserError: there is none of them at ``source``.
    """
    return (VideoSource if source.suffix.lower() in VIDEO_SUFFIXES and source.is_file() else ImageSource)(source, out)


def check_free(source: 'ImageSource | VideoSource', labels: bool, overwrite: bool) -> None:
    """Look for files that are there already under the names of what will be written.

    Args:
        source: what is predicted.
        labels: whether label maps are written, rather than detections.
        overwrite: whether files may be written over, but for those of ``source``.

    Raises:
        UserError: the first file in the way.
    """
    originals = {path.resolve() for path in source.paths}
    for path in (*source.outputs(labels), *([] if labels else [source.out / DETECTIONS])):
        # links may lead from one to the other
        if path.resolve() in originals:
            raise UserError(f'--out: {path} is the SOURCE itself, choose another folder')
        if path.exists() and not overwrite:
            raise UserError(f'--out: {path} is there already; --overwrite writes over it, or choose another folder')


class ImageSource:
    """One image or the images of a folder at any depth: names, and pixels in BGR or None for what is no image."""

    of_one_size = False

    def __init__(self, source: Path, out: Path):
        self.out = out
        self.root = source.parent if source.is_file() else source
        found = [source] if source.is_file() else sorted(self.root.rglob('*'))
        # a second run does not take the pictures of the first for photographs
        made_before = {(out / folder).resolve() for folder in (PICTURES, LABELS)}
        self.paths = [
            path
            for path in found
            if path.suffix.lower() in IMAGE_SUFFIXES and made_before.isdisjoint(path.resolve().parents)
        ]

        if not self.paths:
            raise UserError(
                f'SOURCE: no image ({", ".join(IMAGE_SUFFIXES)}) or video ({", ".join(VIDEO_SUFFIXES)}) at {source}'
            )

        self.stems = Counter(path.with_suffix('') for path in self.paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[tuple[str, NDArray | None]]:
        return ((str(path.relative_to(self.root)), cv2.imread(str(path))) for path in self.paths)

    def output(self, name: str) -> Path:
        """Return the name of what is written about an image: PNG in place of its suffix, or after it."""
        alone = self.stems[(self.root / name).with_suffix('')] == 1
        return Path(name).with_suffix('.png') if alone else Path(f'{name}.png')

    def outputs(self, labels: bool) -> Iterator[Path]:
        """Give the files that are written, with or without ``labels``."""
        names = [self.output(str(path.relative_to(self.root))) for path in self.paths]
        return (self.out / folder / name for folder in (PICTURES, LABELS)[: 1 + labels] for name in names)

    def save(self, name: str, picture: Image.Image) -> None:
        """Write what was drawn of an image."""
        picture.save(ensure_parent(self.out / PICTURES / self.output(name)))


class VideoSource:
    """The frames of a video, of which another video is made: names and pixels in BGR."""

    of_one_size = True

    def __init__(self, source: Path, out: Path):
        self.paths, self.stem, self.out, self.writer = [source], source.stem, out, None
        self.film = out / PICTURES / f'{self.stem}.mp4'
        self.video = cv2.VideoCapture(str(source))
        if not self.video.isOpened():
            raise UserError(f'SOURCE: {source} is not there, or cannot be read as a video')

    def __len__(self) -> int:
        # as the file says, which need not be true
        return max(int(self.video.get(cv2.CAP_PROP_FRAME_COUNT)), 0)

    def __iter__(self) -> Iterator[tuple[str, NDArray]]:
        for index in count():
            frame = self.video.read()[1]
            if frame is None:
                break
            yield f'{self.stem}_{index:06d}', frame
        self.video.release()
        if self.writer is not None:
            self.writer.release()

    def output(self, name: str) -> Path:
        """Return the name of what is written about a frame."""
        return Path(f'{name}.png')

    def outputs(self, labels: bool) -> Iterator[Path]:
        """Give the film, and of the ``labels`` those that are there: nobody knows yet how many frames there will be."""
        yield self.film
        if labels:
            yield from sorted((self.out / LABELS).glob(f'{escape(self.stem)}_{"[0-9]" * 6}.png'))

    def save(self, name: str, picture: Image.Image) -> None:
        """Write what was drawn of the next frame."""
        if self.writer is None:
            rate, path = self.video.get(cv2.CAP_PROP_FPS) or DEFAULT_RATE, str(ensure_parent(self.film))
            self.writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*'mp4v'), rate, picture.size)
        self.writer.write(np.array(picture)[..., ::-1])


def ensure_parent(path: Path) -> Path:
    """Return ``path``, whose folder is there from now on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def find_images(folder: str | Path, count: int) -> list[Path]:
    """Return the first ``count`` images below ``folder``, in the order of their names.

    Raises:
        UserError: there is none.
    """
    paths = sorted(path for path in Path(folder).rglob('*') if path.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise UserError(f'no image ({", ".join(IMAGE_SUFFIXES)}) below {folder}')

    return paths[:count]


def model_images(cfg: Config, paths: Sequence[Path], size: Sequence[int]) -> Iterator[Tensor]:
    """Yield images ``[1, 3, H, W]`` as the model of ``cfg`` wants them.

    Args:
        cfg: the model's config.
        paths: the images.
        size: side, or height and width, in pixels, that they are resized to.

    Raises:
        UserError: one cannot be read.
    """
    # A classifier has no such preprocessor: a transform normalises its images.
    preprocessor = cfg.model.get('data_preprocessor') or {}
    normal = dict(mean=MEAN, std=STD, bgr_to_rgb=True)
    if 'mean' in preprocessor:
        normal = dict(bgr_to_rgb=False) | preprocessor

    mean, std = torch.tensor(normal['mean']), torch.tensor(normal['std'])

    for path in paths:
        image = cv2.imread(str(path))
        if image is None:
            raise UserError(f'{path} cannot be read as an image')

        image = cv2.resize(image, (size[-1], size[0]), interpolation=cv2.INTER_AREA)
        image = torch.from_numpy(image).float()
        if normal['bgr_to_rgb']:
            image = image.flip(-1)

        yield ((image - mean) / std).permute(2, 0, 1)[None]
