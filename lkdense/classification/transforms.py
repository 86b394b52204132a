"""Transforms of a dict with ``img``, a PIL image in RGB until :class:`Normalize` makes it a tensor ``[3, H, W]``.

They follow the augmentation of the ImageNet recipes of ConvNeXt, SLaK and RepLKNet. Random numbers are numpy's, which
mmengine seeds in every worker.

"RandAugment: Practical automated data augmentation with a reduced search space", https://arxiv.org/abs/1909.13719
"Random Erasing Data Augmentation", https://arxiv.org/abs/1708.04896
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps

BICUBIC = Image.Resampling.BICUBIC
# the mean of ImageNet, in place of what lies outside of an image that was turned or shifted
GREY = (124, 116, 104)
# of its pixels, in RGB, in units of 0 to 255
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
MAGNITUDES = 10


class LoadImage:
    """Read the image at ``img_path`` in RGB."""

    def __call__(self, results: dict) -> dict:
        """Add ``img``."""
        with Image.open(results['img_path']) as image:
            results['img'] = image.convert('RGB')
        return results


class RandomResizedCrop:
    """Cut out a part of random area and aspect and resize it to a square.

    Args:
        size: side of the square in pixels.
        scale: range of the share of the area.
        ratio: range of width over height.
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

        # the largest part in the middle whose aspect is allowed
        ratio = min(max(width / height, self.ratio[0]), self.ratio[1])
        w, h = min(width, round(height * ratio)), min(height, round(width / ratio))
        left, top = (width - w) // 2, (height - h) // 2

        return left, top, left + w, top + h


class RandomFlip:
    """Mirror left and right, with a probability."""

    def __init__(self, prob: float = 0.5):
        self.prob = prob

    def __call__(self, results: dict) -> dict:
        """Change ``img``."""
        if np.random.rand() < self.prob:
            results['img'] = ImageOps.mirror(results['img'])
        return results


class ResizeEdge:
    """Resize so that the shorter side has ``size`` pixels."""

    def __init__(self, size: int):
        self.size = size

    def __call__(self, results: dict) -> dict:
        """Change ``img``."""
        width, height = results['img'].size
        factor = self.size / min(width, height)
        results['img'] = results['img'].resize((round(width * factor), round(height * factor)), BICUBIC)
        return results


class CenterCrop:
    """Cut out the square of ``size`` pixels in the middle; a smaller image is enlarged to it first."""

    def __init__(self, size: int):
        self.size = size

    def __call__(self, results: dict) -> dict:
        """Change ``img``."""
        if min(results['img'].size) < self.size:
            results = ResizeEdge(self.size)(results)
        left, top = ((side - self.size) // 2 for side in results['img'].size)
        results['img'] = results['img'].crop((left, top, left + self.size, top + self.size))
        return results


class RandAugment:
    """Apply operations drawn at random, with strengths around one magnitude: those of timm's ``rand-m9-mstd0.5-inc1``.

    Args:
        count: operations an image.
        magnitude: mean strength, 0 to 10.
        deviation: standard deviation of the strength.
        prob: of each operation to be applied.
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
    """Make ``inputs`` of ``img``: a float tensor ``[3, H, W]``, with mean and std in units of 0 to 255."""

    def __init__(self, mean: Sequence[float] = MEAN, std: Sequence[float] = STD):
        self.mean, self.std = torch.tensor(mean).view(3, 1, 1), torch.tensor(std).view(3, 1, 1)

    def __call__(self, results: dict) -> dict:
        """Return ``inputs`` and ``label``."""
        pixels = torch.from_numpy(np.array(results['img'])).permute(2, 0, 1).float()
        return dict(inputs=(pixels - self.mean) / self.std, label=results['label'])


class RandomErasing:
    """Replace a rectangle of ``inputs`` by noise, with a probability.

    Args:
        prob: the probability.
        area: range of its share of the image.
        ratio: range of height over width.
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


def _enhanced(kind: type) -> object:
    return lambda image, strength: kind(image).enhance(1 + _signed(0.9 * strength))


def _shift(image: Image.Image, strength: float, axis: int) -> Image.Image:
    by = [0.0, 0.0]
    by[axis] = _signed(0.45 * strength) * image.size[axis]
    return _affine(image, (1, 0, by[0], 0, 1, by[1]))


# (image, strength between 0 and 1) -> image; all grow with the strength
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
