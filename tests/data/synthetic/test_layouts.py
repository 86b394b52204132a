"""``write_scenes``: the same bytes for the same seed, whole sets only, and nothing lost that is not synthetic."""

import json
import subprocess
import sys

import pytest
from PIL import Image

from lkdense.data.synthetic import LAYOUTS, write_scenes
from lkdense.data.synthetic.atomic_write import MARKER

SMALL = dict(images=5, size=(48, 64), num_classes=3)
JPEG = ('.jpg', '.JPEG')


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob('*')) if path.is_file()}


@pytest.mark.parametrize('layout', LAYOUTS)
def test_equal_arguments_give_equal_files_and_another_seed_other_pictures(layout, tmp_path):
    first, again = (write_scenes(layout, tmp_path / name, **SMALL) for name in 'ab')
    other = write_scenes(layout, tmp_path / 'c', **SMALL, seed=1)
    assert contents(first.folder) == contents(again.folder)
    pictures, others = contents(first.folder), contents(other.folder)
    # ImageNet's files are named after what is in them.
    if layout != 'imagenet':
        assert pictures.keys() == others.keys()
    assert not set(pictures.values()) & {content for path, content in others.items() if path.suffix in JPEG}


@pytest.mark.parametrize('layout', LAYOUTS)
def test_the_set_is_where_the_configs_look_and_has_the_size_asked_for(layout, tmp_path):
    synthetic = write_scenes(layout, tmp_path, **SMALL, val_fraction=0.4)
    assert (synthetic.train, synthetic.val, synthetic.reused) == (3, 2, False)
    assert synthetic.folder == tmp_path / LAYOUTS[layout].folder
    assert synthetic.data_root in (synthetic.folder, synthetic.folder.parent)
    images = [p for p in synthetic.folder.rglob('*') if p.suffix in JPEG or p.name.endswith('leftImg8bit.png')]
    assert len(images) == 5
    assert {Image.open(path).size for path in images} == {(64, 48)}
    assert {Image.open(path).mode for path in images} == {'RGB'}


def test_more_images_begin_with_the_same_ones(tmp_path):
    few = write_scenes('ade20k', tmp_path / 'few', **SMALL)
    many = write_scenes('ade20k', tmp_path / 'many', **{**SMALL, 'images': 9})
    for split in ('training', 'validation'):
        for path in (few.folder / 'images' / split).iterdir():
            assert path.read_bytes() == (many.folder / 'images' / split / path.name).read_bytes()


def test_no_two_pictures_of_voc2012_and_voc2007_are_the_same(tmp_path):
    folders = [write_scenes(layout, tmp_path, **SMALL).folder / 'JPEGImages' for layout in ('voc2012', 'voc2007')]
    pictures = [path.read_bytes() for folder in folders for path in folder.iterdir()]
    assert len(pictures) == len(set(pictures)) == 10


def test_an_equal_set_is_kept_and_another_one_is_replaced_only_on_request(tmp_path):
    folder = write_scenes('coco', tmp_path, **SMALL).folder
    before = contents(folder)
    assert write_scenes('coco', tmp_path, **SMALL).reused
    with pytest.raises(FileExistsError, match=r'another synthetic set .*seed: 0 there, 7 asked for'):
        write_scenes('coco', tmp_path, **SMALL, seed=7)
    assert contents(folder) == before
    assert not write_scenes('coco', tmp_path, **SMALL, seed=7, overwrite=True).reused
    assert json.loads((folder / MARKER).read_text())['seed'] == 7
    assert contents(folder) != before


def test_a_set_that_is_not_synthetic_is_never_touched(tmp_path):
    real = tmp_path / 'coco' / 'annotations' / 'instances_train2017.json'
    real.parent.mkdir(parents=True)
    real.write_text('real')
    with pytest.raises(FileExistsError, match='not a synthetic set'):
        write_scenes('coco', tmp_path, **SMALL, overwrite=True)
    assert contents(tmp_path) == {real.relative_to(tmp_path): b'real'}


def test_an_interrupted_run_leaves_no_set_and_can_be_run_again(tmp_path, monkeypatch):
    saved = []

    def interrupt_at_the_sixth(self, *args, save=Image.Image.save, **kwargs):
        saved.append(self)
        if len(saved) == 6:
            raise KeyboardInterrupt
        save(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, 'save', interrupt_at_the_sixth)
        with pytest.raises(KeyboardInterrupt):
            write_scenes('ade20k', tmp_path, **SMALL)

    assert contents(tmp_path) == {}
    # A killed process leaves such files.
    partial = tmp_path / 'ade' / '.ADEChallengeData2016.partial'
    partial.mkdir()
    (partial / 'half.jpg').write_bytes(b'')
    folder = write_scenes('ade20k', tmp_path, **SMALL).folder
    assert not partial.exists()
    assert not (folder / 'half.jpg').exists()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(layout='lvis'), "layout must be one of ade20k, .*, got 'lvis'"),
        (dict(images=1), 'images must be at least 2 .* got 1'),
        (dict(layout='voc2012', images=2), 'images must be at least 3 .* got 2'),
        (dict(size=16), 'at least 32 pixels, got'),
        (dict(seed=-1), 'seed must not be negative, got -1'),
        (dict(val_fraction=0.0), r'val_fraction must be in \(0, 1\), got 0.0'),
        (dict(val_fraction=1.0), r'val_fraction must be in \(0, 1\), got 1.0'),
        (dict(num_classes=0), 'num_classes must be in'),
        (dict(layout='voc2007', num_classes=21), r'num_classes must be in \[1, 20\] for voc2007, got 21'),
        (dict(layout='cityscapes', num_classes=19), r'num_classes must be in \[1, 18\] for cityscapes, got 19'),
    ],
)
def test_arguments_out_of_range_are_refused_and_leave_no_files(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        write_scenes(**{'layout': 'ade20k', 'root': tmp_path, **SMALL, **arguments})
    assert contents(tmp_path) == {}


def test_the_smallest_sets_have_an_image_in_every_split(tmp_path):
    for layout, form in LAYOUTS.items():
        synthetic = write_scenes(layout, tmp_path, **{**SMALL, 'images': form.min_train + 1})
        assert (synthetic.train, synthetic.val) == (form.min_train, 1)
    for path in (tmp_path / 'VOCdevkit').rglob('ImageSets/*/*.txt'):
        assert path.read_text().strip(), path


@pytest.mark.parametrize('layout', LAYOUTS)
def test_as_many_classes_as_a_layout_has_can_be_written(layout, tmp_path):
    classes = LAYOUTS[layout].classes
    assert len(set(classes)) == len(classes)
    synthetic = write_scenes(layout, tmp_path, **{**SMALL, 'images': 30, 'num_classes': len(classes)})
    assert list(json.loads((synthetic.folder / MARKER).read_text())['classes']) == list(classes)


def test_lkdense_does_not_import_the_generators_and_they_import_no_mm_package():
    code = """
import sys
import lkdense
print('lkdense.data.synthetic' in sys.modules)
import lkdense.data.synthetic
print({'mmcv', 'mmdet', 'mmseg', 'pycocotools'} & {*sys.modules})
"""
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert result.stdout.split('\n')[-3:-1] == ['False', 'set()']
