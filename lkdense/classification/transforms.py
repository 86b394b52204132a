"""Transforms of a dict with ``img``, a PIL image in RGB until :class:`Normalize` makes it a tensor ``[3, H, W]``.

They follow the augmentation in the ImageNet recipes of ConvNeXt, SLaK and RepLKNet. They draw from numpy's generator,
which mmengine seeds in every worker.

"RandAugment: Practical automated data augmentation with a reduced search space", https://arxiv.org/abs/1909.13719
"Random Erasing Data Augmentation", https://arxiv.org/abs/1708.04896
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps

BICUBIC = Image.Resampling.BICUBIC
# The mean of ImageNet fills the area that turning or shifting an image uncovers.
GREY = (124, 116, 104)
# Mean and standard deviation of ImageNet's pixels, in RGB: 0 to 255
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
MAGNITUDES = 10


class LoadImage:
    """Read the image at ``img_path`` in RGB.

    >>> from tempfile import NamedTemporaryFile
    >>> with NamedTemporaryFile(suffix='.png') as file:
    ...     Image.new('L', (4, 3), color=7).save(file)
    ...     image = LoadImage()(dict(img_path=file.name))['img']
    >>> image.size, image.getpixel((0, 0))
    ((4, 3), (7, 7, 7))
    """

    def __call__(self, results: dict) -> dict:
        """Add ``img``."""
        with Image.open(results['img_path']) as image:
            results['img'] = image.convert('RGB')
        return results


class RandomResizedCrop:
    """Crop a part of random area and aspect and resize it to a square.

    >>> RandomResizedCrop(32)(dict(img=Image.new('RGB', (80, 60))))['img'].size
    (32, 32)

    Args:
        size: the side of the square in pixels.
        scale: the range of the part's share of the area.
        ratio: the range of width over height.
    """

    def __init__(self, size: int, scale: Sequence[float] = (0.08, 1.0), ratio: Sequence[float] = (3 / 4, 4 / 3)):
        self.size, self.scale, self.ratio = size, tuple(scale), tuple(ratio)

    def __call__(self, results: dict) -> dict:
        """Change ``img``."""
        image = results['img']
        results['img'] = image.resize((self.size, self.size), BICUBIC, box=self._box(*image.size))
        return results

    def _box(self, width: int, height: int) -> tuple[int, int, int, int]:
        for _ in range(10):
            area = width * height * np.random.uniform(*self.scale)
            ratio = math.exp(np.random.uniform(*np.log(self.ratio)))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))

            if 0 < w <= width and 0 < h <= height:
                left, top = np.random.randint(width - w + 1), np.random.randint(height - h + 1)
                return left, top, left + w, top + h

        # Nothing fits the image: take the largest part in the middle whose aspect is allowed.
        ratio = min(max(width / height, self.ratio[0]), self.ratio[1])
        w, h = min(width, round(height * ratio)), min(height, round(width / ratio))
        left, top = (width - w) // 2, (height - h) // 2

        return left, top, left + w, top + h


class RandomFlip:
    """Mirror left and right, with a probability.

    >>> image = Image.new('RGB', (2, 1))
    >>> image.putpixel((0, 0), (255, 0, 0))
    >>> RandomFlip(prob=1.0)(dict(img=image))['img'].getpixel((1, 0))
    (255, 0, 0)
    """

    def __init__(self, prob: float = 0.5):
        self.prob = prob

    def __call__(self, results: dict) -> dict:
        """Change ``img``."""
        if np.random.rand() < self.prob:
            results['img'] = ImageOps.mirror(results['img'])
        return results


class ResizeEdge:
    """Resize so that the shorter side has ``size`` pixels.

    >>> ResizeEdge(30)(dict(img=Image.new('RGB', (80, 60))))['img'].size
    (40, 30)
    """

    def __init__(self, size: int):
        self.size = size

    def __call__(self, results: dict) -> dict:
        """Change ``img``."""
        width, height = results['img'].size
        factor = self.size / min(width, height)
        results['img'] = results['img'].resize((round(width * factor), round(height * factor)), BICUBIC)
        return results


class CenterCrop:
    """Crop the square of ``size`` pixels in the middle; a smaller image is enlarged first.

    >>> CenterCrop(20)(dict(img=Image.new('RGB', (80, 60))))['img'].size
    (20, 20)
    """

    def __init__(self, size: int):
        self.size = size

    def __call__(self, results: dict) -> dict:
        """Change ``img``."""
        if min(results['img'].size) < self.size:
            results = ResizeEdge(self.size)(results)

        width, height = results['img'].size
        left, top = (width - self.size) // 2, (height - self.size) // 2
        results['img'] = results['img'].crop((left, top, left + self.size, top + self.size))

        return results


class RandAugment:
    """Apply operations drawn at random, with strengths around one magnitude: those of timm's ``rand-m9-mstd0.5-inc1``.

    >>> RandAugment()(dict(img=Image.new('RGB', (64, 48))))['img'].size
    (64, 48)

    Args:
        count: the number of operations for each image.
        magnitude: the mean strength, 0 to 10.
        deviation: the standard deviation of the strength.
        prob: the probability that a drawn operation is applied.
    """

    def __init__(self, count: int = 2, magnitude: float = 9, deviation: float = 0.5, prob: float = 0.5):
        self.count, self.magnitude, self.deviation, self.prob = count, magnitude, deviation, prob

    def __call__(self, results: dict) -> dict:
        """Change ``img``."""
        for index in np.random.choice(len(OPERATIONS), self.count):
            if np.random.rand() < self.prob:
                strength = np.random.normal(self.magnitude, self.deviation)
                strength = min(max(strength, 0.0), MAGNITUDES) / MAGNITUDES
                results['img'] = OPERATIONS[index](results['img'], strength)

        return results


class Normalize:
    """Turn ``img`` into ``inputs``, a normalized float tensor ``[3, H, W]``; mean and std are in units of 0 to 255.

    >>> results = Normalize()(dict(img=Image.new('RGB', (64, 48)), label=3))
    >>> results['inputs'].shape, results['label']
    (torch.Size([3, 48, 64]), 3)
    """

    def __init__(self, mean: Sequence[float] = MEAN, std: Sequence[float] = STD):
        self.mean, self.std = torch.tensor(mean).view(3, 1, 1), torch.tensor(std).view(3, 1, 1)

    def __call__(self, results: dict) -> dict:
        """Return ``inputs`` and ``label``."""
        pixels = torch.from_numpy(np.array(results['img'])).permute(2, 0, 1).float()
        return dict(inputs=(pixels - self.mean) / self.std, label=results['label'])


class RandomErasing:
    """Replace a rectangle of ``inputs`` by noise, with a probability.

    >>> erased = RandomErasing(prob=1.0)(dict(inputs=torch.zeros(3, 64, 64)))['inputs']
    >>> bool(erased.any()), erased.shape
    (True, torch.Size([3, 64, 64]))

    Args:
        prob: the probability.
        area: the range of the rectangle's share of the image.
        ratio: the range of height over width.
    """

    def __init__(
        self, prob: float = 0.25, area: Sequence[float] = (0.02, 1 / 3), ratio: Sequence[float] = (0.3, 1 / 0.3)
    ):
        self.prob, self.area, self.ratio = prob, tuple(area), tuple(ratio)

    def __call__(self, results: dict) -> dict:
        """Change ``inputs``."""
        if np.random.rand() >= self.prob:
            return results

        pixels = results['inputs']
        _, height, width = pixels.shape
        for _ in range(10):
            size = height * width * np.random.uniform(*self.area)
            ratio = math.exp(np.random.uniform(*np.log(self.ratio)))
            h, w = round(math.sqrt(size * ratio)), round(math.sqrt(size / ratio))

            if h < height and w < width:
                top, left = np.random.randint(height - h + 1), np.random.randint(width - w + 1)
                noise = np.random.standard_normal((3, h, w)).astype(np.float32)
                pixels[:, top : top + h, left : left + w] = torch.from_numpy(noise)
                break

        return results


def _signed(value: float) -> float:
    return value if np.random.rand() < 0.5 else -value


def _affine(image: Image.Image, matrix: Sequence[float]) -> Image.Image:
    return image.transform(image.size, Image.Transform.AFFINE, matrix, BICUBIC, fillcolor=GREY)


def _enhanced(kind: type) -> Callable[[Image.Image, float], Image.Image]:
    return lambda image, strength: kind(image).enhance(1 + _signed(0.9 * strength))


def _shift(image: Image.Image, strength: float, axis: int) -> Image.Image:
    pixels = _signed(0.45 * strength) * image.size[axis]
    x, y = (pixels, 0.0) if axis == 0 else (0.0, pixels)

    return _affine(image, (1, 0, x, 0, 1, y))


# Each maps an image and a strength between 0 and 1 to an image; the effect grows with the strength.
OPERATIONS = (
    lambda image, strength: ImageOps.autocontrast(image),
    lambda image, strength: ImageOps.equalize(image),
    lambda image, strength: ImageOps.invert(image),
    lambda image, strength: image.rotate(_signed(30 * strength), BICUBIC, fillcolor=GREY),
    lambda image, strength: ImageOps.posterize(image, 4 - int(4 * strength) or 1),
    lambda image, strength: ImageOps.solarize(image, 256 - int(256 * strength)),
    lambda image, strength: Image.eval(image, lambda v: min(255, v + int(110 * strength)) if v < 128 else v),
    _enhanced(ImageEnhance.Color),
    _enhanced(ImageEnhance.Contrast),
    _enhanced(ImageEnhance.Brightness),
    _enhanced(ImageEnhance.Sharpness),
    lambda image, strength: _affine(image, (1, _signed(0.3 * strength), 0, 0, 1, 0)),
    lambda image, strength: _affine(image, (1, 0, 0, _signed(0.3 * strength), 1, 0)),
    lambda image, strength: _shift(image, strength, 0),
    lambda image, strength: _shift(image, strength, 1),
)
