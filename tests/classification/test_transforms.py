"""Transforms of images: sizes, ranges, that they are random and repeat with the seed."""

import numpy as np
import pytest
import torch
from PIL import Image

from lkdense.classification import (
    CenterCrop,
    LoadImage,
    Normalize,
    RandAugment,
    RandomErasing,
    RandomFlip,
    RandomResizedCrop,
    ResizeEdge,
)
from lkdense.classification.transforms import OPERATIONS


@pytest.fixture
def image():
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_an_image_is_read_in_rgb(tmp_path):
    Image.new('L', (4, 3), 7).save(tmp_path / 'grey.png')
    assert LoadImage()(dict(img_path=tmp_path / 'grey.png'))['img'].getpixel((0, 0)) == (7, 7, 7)


@pytest.mark.parametrize('size', [(80, 60), (10, 400), (3, 3)])
def test_random_crops_have_the_size_and_lie_inside(size):
    crop = RandomResizedCrop(32)
    for seed in range(50):
        np.random.seed(seed)
        left, top, right, bottom = crop._box(*size)
        assert 0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]
    assert crop(dict(img=Image.new('RGB', size)))['img'].size == (32, 32)


def test_the_shorter_edge_and_the_middle(image):
    resized = ResizeEdge(30)(dict(img=image))['img']
    assert resized.size == (40, 30)
    assert CenterCrop(20)(dict(img=resized))['img'].tobytes() == resized.crop((10, 5, 30, 25)).tobytes()
    assert CenterCrop(100)(dict(img=image))['img'].size == (100, 100)


def test_flipping(image):
    assert RandomFlip(0.0)(dict(img=image))['img'] is image
    assert np.array_equal(np.array(RandomFlip(1.0)(dict(img=image))['img']), np.array(image)[:, ::-1])


@pytest.mark.parametrize('operation', range(len(OPERATIONS)))
@pytest.mark.parametrize('strength', [0.0, 0.5, 1.0])
def test_every_operation_gives_an_image_of_the_same_size(operation, strength, image):
    changed = OPERATIONS[operation](image, strength)
    assert changed.size == image.size and changed.mode == 'RGB'


def test_augmentation_repeats_with_the_seed_and_differs_without(image):
    def augmented(seed):
        np.random.seed(seed)
        return RandAugment()(dict(img=image))['img'].tobytes()

    assert augmented(1) == augmented(1)
    assert len({augmented(seed) for seed in range(10)}) > 5


def test_normalized_pixels():
    results = Normalize()(dict(img=Image.new('RGB', (4, 2), (255, 0, 0)), label=3, img_path='x'))
    assert results['label'] == 3 and results['inputs'].shape == (3, 2, 4)
    torch.testing.assert_close(results['inputs'][0, 0, 0].item(), (255 - 123.675) / 58.395)


def test_erasing_replaces_a_rectangle_of_the_allowed_area():
    for seed in range(20):
        np.random.seed(seed)
        erased = RandomErasing(1.0)(dict(inputs=torch.full((3, 64, 64), 9.0)))['inputs']
        changed = (erased != 9).all(0)
        rows, columns = changed.any(1).sum(), changed.any(0).sum()
        assert changed.sum() == rows * columns
        assert 0.01 < changed.float().mean() < 0.35
    assert (RandomErasing(0.0)(dict(inputs=torch.ones(3, 8, 8)))['inputs'] == 1).all()
