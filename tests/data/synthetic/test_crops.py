"""Crops of a segmentation set: each is in the folder of the class that fills it."""

import numpy as np
import pytest
from PIL import Image

from lkdense.data.synthetic.crops import write_crops

CLASSES = ('sky', 'road', 'pole')


@pytest.fixture
def photographs(tmp_path):
    """Images of sky above road, with a thin pole and an unlabelled stripe; the colour of a pixel tells its class."""
    for part in ('train', 'val'):
        (tmp_path / 'images' / part).mkdir(parents=True)
        (tmp_path / 'labels' / part).mkdir(parents=True)

        for name in range(3):
            labels = np.zeros((128, 256), np.uint8)
            labels[64:] = 1
            labels[:, 40:44] = 2
            labels[:, 200:256] = 255
            Image.fromarray(np.stack([labels * 100] * 3, 2)).save(tmp_path / f'images/{part}/{name}.png')
            Image.fromarray(labels).save(tmp_path / f'labels/{part}/{name}.png')

    return tmp_path


def test_crops_are_of_the_class_that_fills_them(photographs, monkeypatch):
    monkeypatch.setattr('lkdense.data.synthetic.crops.FEWEST', 5)
    write_crops(photographs / 'crops', photographs / 'images', photographs / 'labels', CLASSES, size=32, per_class=40)

    # A pole is too thin to fill a crop.
    train, val = photographs / 'crops/train', photographs / 'crops/val'
    assert sorted(path.name for path in train.iterdir()) == ['road', 'sky']
    assert len(list(train.glob('sky/*'))) == len(list(train.glob('road/*'))) == 40
    assert len(list(val.glob('sky/*'))) == 10

    for name, value in (('sky', 0), ('road', 100)):
        for path in (photographs / 'crops/train' / name).iterdir():
            pixels = np.array(Image.open(path))
            assert pixels.shape == (32, 32, 3)
            assert (pixels == value).mean() >= 0.5


def test_too_few_crops_are_an_error_and_leave_nothing(photographs):
    with pytest.raises(ValueError, match='at least two must fill 100 crops of 128 pixels'):
        write_crops(photographs / 'crops', photographs / 'images', photographs / 'labels', CLASSES, size=128)
    assert not (photographs / 'crops').exists()


def test_no_images(photographs):
    with pytest.raises(ValueError, match='expected images in'):
        write_crops(photographs / 'crops', photographs / 'nowhere', photographs / 'labels', CLASSES)
