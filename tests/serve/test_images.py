"""Which files are taken as images, which are refused and why, and that photographs stand upright."""

import io

import numpy as np
import pytest
from PIL import Image

from lkdense.inference.media import IMAGE_SUFFIXES, find_images
from lkdense.serve.images import FORMATS, ImageError, decode_image


def content(image, kind='PNG', **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'WEBP', 'TIFF', 'BMP', 'GIF'])
@pytest.mark.parametrize('mode', ['L', 'RGB'])
def test_formats(kind, mode):
    image = decode_image(content(Image.new(mode, (30, 20), 200 if mode == 'L' else (200, 200, 200)), kind), side=100)
    assert image.mode == 'RGB' and image.size == (30, 20)
    assert abs(np.asarray(image).astype(int) - 200).max() < 3


def test_a_photograph_stands_upright():
    image = Image.new('RGB', (40, 20), 'blue')
    image.paste('red', (0, 0, 20, 20))
    exif = Image.Exif()
    # The camera was held a quarter turn to the left, so what was stored on the left is at the top.
    exif[0x0112] = 6
    upright = decode_image(content(image, 'JPEG', exif=exif), side=100)
    assert upright.size == (20, 40)
    assert upright.getpixel((10, 5))[0] > 200 and upright.getpixel((10, 35))[2] > 200


def test_large_images_are_reduced_and_small_ones_left():
    assert decode_image(content(Image.new('RGB', (300, 100))), side=150).size == (150, 50)
    assert decode_image(content(Image.new('RGB', (30, 10))), side=150).size == (30, 10)


@pytest.mark.parametrize(
    ('bad', 'message'),
    [
        (lambda: b'', 'no image'),
        (lambda: b'%PDF-1.7 and so on', 'no image'),
        (lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>', 'no image'),
        (lambda: content(Image.new('RGB', (90, 90), 'red'))[:120], 'damaged'),
        (lambda: content(Image.new('1', (9000, 9000))), '9000 x 9000 pixels, at most 64 million'),
        (lambda: content(Image.new('1', (14000, 14000))), 'more than 64 million pixels'),
        (lambda: content(Image.fromarray(np.zeros((4, 4), np.uint16))), '8 bits a channel'),
    ],
)
def test_what_is_no_image_is_refused_with_the_reason(bad, message):
    with pytest.raises(ImageError, match=message):
        decode_image(bad(), side=100)


def test_every_example_that_is_found_can_be_decoded():
    known = {suffix: kind for suffix, kind in Image.registered_extensions().items() if kind in FORMATS}
    for suffix in IMAGE_SUFFIXES:
        image = decode_image(content(Image.new('RGB', (8, 8)), known[suffix]), side=8)
        assert image.size == (8, 8), suffix


def test_examples_are_the_images_of_a_folder(tmp_path):
    (tmp_path / 'more').mkdir()
    for name in ('b.JPG', 'more/a.png', 'notes.txt'):
        (tmp_path / name).write_bytes(b'')

    (tmp_path / 'folder.png').mkdir()
    assert find_images(tmp_path) == [tmp_path / 'b.JPG', tmp_path / 'more/a.png']
