"""Which files are taken for images."""

from PIL import Image

from lkdense.inference.media import find_images, open_source


def test_a_folder_with_the_name_of_an_image_is_none(tmp_path):
    (tmp_path / 'folder.png').mkdir()
    Image.new('RGB', (4, 4)).save(tmp_path / 'folder.png/cat.JPG')
    (tmp_path / 'notes.txt').touch()

    assert find_images(tmp_path) == [tmp_path / 'folder.png/cat.JPG']
    assert [name for name, _ in open_source(tmp_path, tmp_path / 'out')] == ['folder.png/cat.JPG']
