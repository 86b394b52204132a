"""Predictions as pictures, label maps and COCO results; the tool on files, folders and what is no image."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coding

from lkdense.launch import read_config
from lkdense.loading import load_model
from lkdense.prediction import Instances, LabelMap, coco_results, colours, draw

ROOT = Path(__file__).parents[1]
SEG, DET = 'upernet_convnext_pico_ade20k', 'faster_rcnn_convnext_pico_voc07'


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def test_colours_are_the_data_sets_or_all_different():
    assert colours(2, [[1, 2, 3], [4, 5, 6], [7, 8, 9]]) == [(1, 2, 3), (4, 5, 6)]
    assert len(set(colours(50))) == 50


def test_labels_lie_over_the_image_and_the_legend_names_those_that_occur(image):
    labels = np.zeros((40, 60), np.uint8)
    labels[:, 30:] = 2
    labels[:5] = 255
    palette = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    picture = np.array(draw(image, LabelMap(labels), ['wall', 'tree', 'road'], palette))
    assert picture.shape[1] > 60
    rgb = image[..., ::-1].astype(float)
    assert np.abs(picture[10, 10] - (0.5 * rgb[10, 10] + 0.5 * np.array([200, 0, 0]))).max() <= 1
    assert np.abs(picture[10, 50] - (0.5 * rgb[10, 50] + 0.5 * np.array([0, 0, 200]))).max() <= 1
    assert (picture[2, 10] == rgb[2, 10]).all()
    legend = picture[:, 60:].reshape(-1, 3).tolist()
    assert [200, 0, 0] in legend and [0, 0, 200] in legend and [0, 200, 0] not in legend


def found():
    masks = np.zeros((2, 40, 60), bool)
    masks[0, 25:38, 10:30] = True
    masks[1, 0:5, 0:5] = True
    boxes = np.array([[10, 25, 30, 38], [0, 0, 5, 5]], np.float32)
    return Instances(boxes, np.array([0.9, 0.2], np.float32), np.array([1, 0]), masks)


def test_instances_are_drawn_from_a_threshold_on(image):
    palette = [(255, 0, 0), (0, 255, 0)]
    picture = np.array(draw(image, found().above(0.5), ['cat', 'dog'], palette))
    rgb = image[..., ::-1].astype(float)
    assert (picture[38, 15] == (0, 255, 0)).all()
    assert np.abs(picture[35, 25] - (0.5 * rgb[35, 25] + 0.5 * np.array([0, 255, 0]))).max() <= 1
    assert (picture[5, 58] == rgb[5, 58]).all()
    assert draw(image, found().above(0.95), ['cat', 'dog'], palette).size == (60, 40)


def test_coco_results():
    first, second = coco_results(found(), image_id=7)
    assert first['bbox'] == [10, 25, 20, 13] and first['category_id'] == 2 and first['image_id'] == 7
    assert (coding.decode(first['segmentation']) == found().masks[0]).all()
    assert second['score'] == pytest.approx(0.2)


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp('photos')
    (folder / 'more').mkdir()
    generator = np.random.default_rng(1)
    for name in ('a.jpg', 'more/b.png'):
        Image.fromarray(generator.integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(folder / name)
    (folder / 'c.jpg').write_text('no image')
    video = cv2.VideoWriter(str(folder / 'film.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 5, (64, 48))
    for _ in range(2):
        video.write(generator.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    video.release()
    for name in (SEG, DET):
        torch.save(load_model(read_config(name)).state_dict(), folder / f'{name}.pth')
    return folder


def predict(photos, name, source, *options):
    command = [sys.executable, ROOT / 'tools/predict.py', name, photos / f'{name}.pth', source, '--out', photos / 'out']
    return subprocess.run([*map(str, command), *options], cwd=photos, capture_output=True, text=True, check=False)


def test_a_folder_is_segmented_and_what_is_no_image_is_named(photos):
    done = predict(photos, SEG, photos, '--cfg-options', 'test_dataloader.dataset.pipeline.1.scale=(64,48)')
    assert done.returncode == 0, done.stderr
    assert '2 images predicted' in done.stdout and 'c.jpg cannot be read as an image' in done.stdout
    for name in ('a.png', 'more/b.png'):
        assert np.array(Image.open(photos / 'out/labels' / name)).shape == (48, 64)
        assert Image.open(photos / 'out/pictures' / name).size[1] >= 48


def test_a_video_is_searched_for_objects(photos):
    options = ['--cfg-options', 'test_dataloader.dataset.pipeline.1.scale=(64,48)', 'model.test_cfg.rcnn.score_thr=0.0']
    done = predict(photos, DET, photos / 'film.avi', *options)
    assert done.returncode == 0, done.stderr
    content = json.loads((photos / 'out/detections.json').read_text())
    assert [image['file_name'] for image in content['images']] == ['film_000000', 'film_000001']
    assert {category['name'] for category in content['categories']} >= {'person', 'dog'}
    assert {result['image_id'] for result in content['annotations']} == {1, 2}


def test_nothing_to_predict_is_said(photos, tmp_path):
    done = predict(photos, SEG, tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith('predict.py: SOURCE: no image')
