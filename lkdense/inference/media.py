"""Read images and videos, name the files that predictions on them are written to, and write the pictures."""

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
# What is written into the folder of a run: two folders and a file.
PICTURES, LABELS = 'pictures', 'labels'
DETECTIONS = 'detections.json'
DEFAULT_RATE = 25  # frames a second, for a video that does not state its rate


class ImageSource:
    """One image, or the images of a folder at any depth: names, and pixels in BGR or None for a broken file.

    Args:
        path: the image or the folder.
        out: the folder that predictions go into.

    Raises:
        UserError: there is no image at ``path``.

    Attributes:
        same_size: whether all pictures must have the same size.
        paths: the files of the images.
    """

    same_size = False

    def __init__(self, path: Path, out: Path):
        self.out = out
        self.root = path.parent if path.is_file() else path
        candidates = [path] if path.is_file() else sorted(self.root.rglob('*'))

        # A second run must not take the pictures of the first one for photographs.
        outputs = {(out / folder).resolve() for folder in (PICTURES, LABELS)}
        self.paths = []
        for candidate in candidates:
            if _is_image(candidate) and outputs.isdisjoint(candidate.resolve().parents):
                self.paths.append(candidate)
        if not self.paths:
            raise UserError(
                f'SOURCE: no image ({", ".join(IMAGE_SUFFIXES)}) or video ({", ".join(VIDEO_SUFFIXES)}) at {path}'
            )

        self.stems = Counter(path.with_suffix('') for path in self.paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[tuple[str, NDArray | None]]:
        for path in self.paths:
            yield self._name(path), cv2.imread(str(path))

    def output_name(self, name: str) -> Path:
        """Return the name of the files written for an image: .png replaces its suffix, or follows it if ambiguous."""
        is_unique = self.stems[(self.root / name).with_suffix('')] == 1
        return Path(name).with_suffix('.png') if is_unique else Path(f'{name}.png')

    def output_paths(self, labels: bool) -> Iterator[Path]:
        """Yield the files that will be written for the images, with or without ``labels``."""
        folders = (PICTURES, LABELS) if labels else (PICTURES,)
        for folder in folders:
            for path in self.paths:
                yield self.out / folder / self.output_name(self._name(path))

    def save(self, name: str, picture: Image.Image) -> None:
        """Write the picture of an image."""
        picture.save(ensure_parent(self.out / PICTURES / self.output_name(name)))

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self.root))


class VideoSource:
    """The frames of a video: names, and pixels in BGR; the pictures of the frames become another video.

    Args:
        path: the video.
        out: the folder that predictions go into.

    Raises:
        UserError: the video cannot be read.

    Attributes:
        same_size: whether all pictures must have the same size.
        paths: the file of the video, alone.
    """

    same_size = True

    def __init__(self, path: Path, out: Path):
        self.paths, self.stem, self.out = [path], path.stem, out
        self.picture_path = out / PICTURES / f'{self.stem}.mp4'
        self.writer = None

        self.reader = cv2.VideoCapture(str(path))
        if not self.reader.isOpened():
            raise UserError(f'SOURCE: {path} is not there, or cannot be read as a video')

    def __len__(self) -> int:
        # The file states a number, which need not be true.
        return max(int(self.reader.get(cv2.CAP_PROP_FRAME_COUNT)), 0)

    def __iter__(self) -> Iterator[tuple[str, NDArray]]:
        for index in count():
            frame = self.reader.read()[1]
            if frame is None:
                break
            yield f'{self.stem}_{index:06d}', frame

        self.reader.release()
        if self.writer is not None:
            self.writer.release()

    def output_name(self, name: str) -> Path:
        """Return the name of the files written for a frame."""
        return Path(f'{name}.png')

    def output_paths(self, labels: bool) -> Iterator[Path]:
        """Yield the video that will be written, and with ``labels`` the label maps of an earlier run.

        The number of frames is not known yet, so no other label maps can be named.
        """
        yield self.picture_path
        if labels:
            pattern = f'{escape(self.stem)}_{"[0-9]" * 6}.png'
            yield from sorted((self.out / LABELS).glob(pattern))

    def save(self, name: str, picture: Image.Image) -> None:
        """Write the picture of the next frame."""
        if self.writer is None:
            rate = self.reader.get(cv2.CAP_PROP_FPS) or DEFAULT_RATE
            path = str(ensure_parent(self.picture_path))
            self.writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*'mp4v'), rate, picture.size)

        self.writer.write(np.array(picture)[..., ::-1])


def open_source(path: Path, out: Path) -> ImageSource | VideoSource:
    """Open an image, a folder of images or a video; predictions on it go into the folder ``out``.

    Raises:
        UserError: there is none of them at ``path``.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Image.new('RGB', (64, 48)).save(f'{folder}/cat.jpg')
    ...     source = open_source(Path(folder), out=Path(folder, 'predicted'))
    ...     [(name, image.shape, str(source.output_name(name))) for name, image in source]
    [('cat.jpg', (48, 64, 3), 'cat.png')]
    """
    if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file():
        return VideoSource(path, out)

    return ImageSource(path, out)


def check_free(source: ImageSource | VideoSource, labels: bool, overwrite: bool) -> None:
    """Check that no file is in the way of those that will be written.

    Args:
        source: what is predicted.
        labels: whether label maps are written, rather than detections.
        overwrite: whether existing files may be replaced, except those of ``source``.

    Raises:
        UserError: a file is in the way; it is named.
    """
    outputs = list(source.output_paths(labels))
    if not labels:
        outputs.append(source.out / DETECTIONS)

    originals = {path.resolve() for path in source.paths}
    for path in outputs:
        # An output may be a link to an original.
        if path.resolve() in originals:
            raise UserError(f'--out: {path} is the SOURCE itself, choose another folder')
        if path.exists() and not overwrite:
            raise UserError(f'--out: {path} is there already; --overwrite writes over it, or choose another folder')


def ensure_parent(path: Path) -> Path:
    """Create the folder of a file, if need be, and return the file's path.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     ensure_parent(Path(folder, 'labels', 'cat.png')).parent.is_dir()
    True
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def find_images(folder: str | Path, count: int | None = None) -> list[Path]:
    """Return the first ``count`` images below ``folder``, by default all, sorted by path.

    Raises:
        UserError: there is none.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     for name in ('dog.jpg', 'cat.png', 'notes.txt'):
    ...         Path(folder, name).touch()
    ...     [path.name for path in find_images(folder, count=5)]
    ['cat.png', 'dog.jpg']
    """
    paths = sorted(path for path in Path(folder).rglob('*') if _is_image(path))
    if not paths:
        raise UserError(f'no image ({", ".join(IMAGE_SUFFIXES)}) below {folder}')

    return paths[:count]


def model_images(cfg: Config, paths: Sequence[Path], size: Sequence[int]) -> Iterator[Tensor]:
    """Yield images ``[1, 3, H, W]``, resized and normalized as the model of ``cfg`` expects them.

    Args:
        cfg: the model's config.
        paths: the files of the images.
        size: side, or height and width, in pixels, to which they are resized.

    Raises:
        UserError: an image cannot be read.
    """
    # A classifier has no such preprocessor: a transform normalizes its images.
    normalization = dict(mean=MEAN, std=STD, bgr_to_rgb=True)
    preprocessor = cfg.model.get('data_preprocessor') or {}
    if 'mean' in preprocessor:
        normalization = dict(bgr_to_rgb=False) | preprocessor
    mean, std = torch.tensor(normalization['mean']), torch.tensor(normalization['std'])

    for path in paths:
        image = cv2.imread(str(path))
        if image is None:
            raise UserError(f'{path} cannot be read as an image')

        image = cv2.resize(image, (size[-1], size[0]), interpolation=cv2.INTER_AREA)
        image = torch.from_numpy(image).float()
        if normalization['bgr_to_rgb']:
            image = image.flip(-1)

        yield ((image - mean) / std).permute(2, 0, 1)[None]


def _is_image(path: Path) -> bool:
    # A folder may have the name of an image.
    return path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
