"""Predictions as pictures, label maps and COCO results; the command on files, folders and broken images."""

import dataclasses
import json
import os
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.structures import BaseDataElement, PixelData
from PIL import Image
from pycocotools import mask as coding
from pycocotools.coco import COCO

from lkdense.commands import main
from lkdense.config import read_config
from lkdense.errors import UserError
from lkdense.inference.drawing import class_colors, draw, magnify
from lkdense.inference.media import check_free, open_source
from lkdense.inference.predictor import Predictor, first_test_set, metainfo, predicts_label_map
from lkdense.inference.results import Instances, LabelMap, coco_results
from lkdense.models import load_model

SEG, DET = 'upernet_convnext_pico_ade20k', 'faster_rcnn_convnext_pico_voc07'


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def test_colours_are_the_data_sets_or_all_different():
    assert class_colors(2, [[1, 2, 3], [4, 5, 6], [7, 8, 9]]) == [(1, 2, 3), (4, 5, 6)]
    assert len(set(class_colors(50))) == 50


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


def detections():
    """A confident dog and an uncertain cat."""
    masks = np.zeros((2, 40, 60), bool)
    masks[0, 25:38, 10:30] = True
    masks[1, 0:5, 0:5] = True
    boxes = np.array([[10, 25, 30, 38], [0, 0, 5, 5]], np.float32)
    return Instances(boxes, np.array([0.9, 0.2], np.float32), np.array([1, 0]), masks)


def test_instances_below_the_threshold_are_not_drawn(image):
    palette = [(255, 0, 0), (0, 255, 0)]
    picture = np.array(draw(image, detections().above(0.5), ['cat', 'dog'], palette))
    rgb = image[..., ::-1].astype(float)
    assert (picture[38, 15] == (0, 255, 0)).all()
    assert np.abs(picture[35, 25] - (0.5 * rgb[35, 25] + 0.5 * np.array([0, 255, 0]))).max() <= 1
    assert (picture[5, 58] == rgb[5, 58]).all()
    assert draw(image, detections().above(0.95), ['cat', 'dog'], palette).size == (60, 40)


def test_small_images_are_enlarged_with_their_instances(image):
    larger, instances = magnify(image, detections())
    assert larger.shape == (9 * 40, 9 * 60, 3) and (larger[::9, ::9] == image).all()
    assert (instances.boxes == 9 * detections().boxes).all()
    assert (instances.masks[:, ::9, ::9] == detections().masks).all()

    large = np.zeros((600, 700, 3), np.uint8)
    assert magnify(large, LabelMap(large[..., 0]))[0] is large


def test_annotations_have_names_and_no_scores(image):
    truth = dataclasses.replace(detections(), scores=None)
    assert draw(image, truth, ['cat', 'dog'], [(255, 0, 0), (0, 255, 0)]).height == 40


def test_files_of_one_name_and_the_pictures_of_a_run_before(tmp_path, image):
    for name in ('a.jpg', 'a.png', 'b.jpg', 'out/pictures/b.png', 'out/labels/b.png'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / name)

    source = open_source(tmp_path, tmp_path / 'out')
    assert [name for name, _ in source] == ['a.jpg', 'a.png', 'b.jpg']
    assert [source.output_name(name).name for name, _ in source] == ['a.jpg.png', 'a.png.png', 'b.png']
    assert len(open_source(tmp_path, tmp_path)) == 5

    (tmp_path / 'broken.mp4').write_bytes(b'no video')
    with pytest.raises(UserError, match='cannot be read as a video'):
        open_source(tmp_path / 'broken.mp4', tmp_path / 'out')


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / 'clip.mp4'
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), 5, (64, 48))
    for _ in range(2):
        video.write(np.zeros((48, 64, 3), np.uint8))
    video.release()

    return path


def test_a_video_goes_beside_its_source_and_never_over_it(clip, image):
    content = clip.read_bytes()
    source = open_source(clip, clip.parent)
    check_free(source, labels=True, overwrite=False)
    for name, _ in source:
        source.save(name, Image.fromarray(image))
    assert clip.read_bytes() == content and (clip.parent / 'pictures/clip.mp4').is_file()
    again = open_source(clip.parent / 'pictures/clip.mp4', clip.parent)
    with pytest.raises(UserError, match=r'clip\.mp4 is the SOURCE itself'):
        check_free(again, labels=True, overwrite=True)


def test_links_to_the_source_are_not_written_over(tmp_path, image):
    (tmp_path / 'out/labels').mkdir(parents=True)
    Image.fromarray(image).save(tmp_path / 'a.png')
    os.symlink(tmp_path / 'a.png', tmp_path / 'out/labels/a.png')
    source = open_source(tmp_path / 'a.png', tmp_path / 'out')
    check_free(source, labels=False, overwrite=True)
    with pytest.raises(UserError, match=r'labels/a\.png is the SOURCE itself'):
        check_free(source, labels=True, overwrite=True)


@pytest.mark.parametrize(
    ('there', 'labels'),
    [
        ('pictures/a.png', False),
        ('labels/a.png', True),
        ('detections.json', False),
        ('pictures/clip.mp4', False),
        ('labels/clip_000007.png', True),
    ],
)
def test_what_is_there_already_is_named_and_kept(there, labels, clip, image):
    photo, out = clip.parent / 'a.jpg', clip.parent / 'out'
    Image.fromarray(image).save(photo)
    (out / there).parent.mkdir(parents=True, exist_ok=True)
    (out / there).write_text('the truth')

    source = open_source(clip if 'clip' in there else photo, out)
    with pytest.raises(UserError, match=f'{there} is there already; --overwrite'):
        check_free(source, labels, overwrite=False)
    check_free(source, labels, overwrite=True)
    if 'pictures' not in there:
        # The other kind of model would not write this file.
        check_free(source, not labels, overwrite=False)


def test_classes_come_from_a_file_too(tmp_path):
    (tmp_path / 'classes.txt').write_text('wall\ntree\n')
    read_config(SEG)
    dataset = Config(dict(type='mmseg.BaseSegDataset', metainfo=dict(classes=str(tmp_path / 'classes.txt'))))
    assert metainfo(dataset)['classes'] == ['wall', 'tree']

    for change, problem in (
        (dict(type='Nothing'), 'Nothing is no data set'),
        (dict(metainfo=dict(classes='nowhere.txt')), "got 'nowhere.txt'"),
        (dict(metainfo=None), 'got None'),
    ):
        with pytest.raises(UserError, match=problem):
            metainfo(Config({**dataset, **change}))


def test_the_first_of_several_test_sets_counts():
    inner = dict(type='A', pipeline=[dict(type='PackSegInputs')])
    wrapped = dict(type='ConcatDataset', datasets=[dict(type='RepeatDataset', times=1, dataset=inner), dict(type='B')])
    assert first_test_set(Config(dict(test_dataloader=dict(dataset=wrapped)))).type == 'A'
    for loader in (None, dict(dataset=dict(type='A'))):
        with pytest.raises(UserError, match=r'no test_dataloader\.dataset with a pipeline'):
            first_test_set(Config(dict(test_dataloader=loader)))


def test_panoptic_models_give_labels_unless_they_give_objects():
    model = dict(panoptic_fusion_head=dict(type='MaskFormerFusionHead'), test_cfg=dict(instance_on=False))
    cfg = Config(dict(default_scope='mmdet', model=model))
    assert predicts_label_map(cfg)
    cfg.model.test_cfg.instance_on = True
    assert not predicts_label_map(cfg)


def test_panoptic_maps_are_read_as_labels():
    predictor = SimpleNamespace(
        scope='mmdet', predicts_label_map=True, classes=('cat', 'sky'), model=torch.nn.Identity()
    )
    # The pixels are two cats, sky, and nothing.
    pixels = PixelData(sem_seg=torch.tensor([[[1000, 2000, 1, 2]]]))
    label_map = Predictor.read(predictor, BaseDataElement(pred_panoptic_seg=pixels))
    assert label_map.labels.tolist() == [[0, 0, 1, 255]]

    with pytest.raises(UserError, match='Identity predicts pred_depth_map, and only pred_panoptic_seg can be drawn'):
        Predictor.read(predictor, BaseDataElement(pred_depth_map=pixels))


def test_coco_results():
    first, second = coco_results(detections(), image_id=7)
    assert first['bbox'] == [10, 25, 20, 13] and first['category_id'] == 2 and first['image_id'] == 7
    assert (coding.decode(first['segmentation']) == detections().masks[0]).all()
    assert second['score'] == pytest.approx(0.2)


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    """A folder with images, broken files, a video, and the weights of a segmentor and a detector."""
    folder = tmp_path_factory.mktemp('photos')
    (folder / 'more').mkdir()
    generator = np.random.default_rng(1)
    for name in ('a.jpg', 'more/b.png'):
        Image.fromarray(generator.integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(folder / name)

    (folder / 'c.jpg').write_text('no image')
    # When it is resized to the model's input, no row is left.
    Image.new('RGB', (2000, 1)).save(folder / 'wide.png')

    video = cv2.VideoWriter(str(folder / 'film.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 5, (64, 48))
    for _ in range(2):
        video.write(generator.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    video.release()

    for name in (SEG, DET):
        torch.save(load_model(read_config(name)).state_dict(), folder / f'{name}.pth')

    return folder


def predict(photos, name, source, *changes, out):
    """Call the command with small inputs and more changes of the config."""
    options = ['test_dataloader.dataset.pipeline.1.scale=(64,48)', *changes]
    main(['predict', name, str(photos / f'{name}.pth'), str(source), '--out', str(out), '--cfg-options', *options])


def test_a_folder_is_segmented_and_broken_images_are_named(photos, tmp_path, capsys):
    predict(photos, SEG, photos, out=tmp_path)
    output = capsys.readouterr().out
    assert '2 images predicted' in output and 'c.jpg cannot be read as an image' in output
    assert 'wide.png cannot be predicted: error: OpenCV' in output

    for name in ('a.png', 'more/b.png'):
        assert np.array(Image.open(tmp_path / 'labels' / name)).shape == (48, 64)
        assert Image.open(tmp_path / 'pictures' / name).size[1] >= 48


def test_an_image_on_which_a_detector_fails_costs_only_itself(photos, tmp_path, capsys):
    predict(photos, DET, photos, out=tmp_path)
    assert 'wide.png cannot be predicted' in capsys.readouterr().out
    content = json.loads((tmp_path / 'detections.json').read_text())
    assert [image['file_name'] for image in content['images']] == ['a.jpg', 'more/b.png']


@pytest.mark.parametrize('name', ['c.jpg', 'wide.png'])
def test_nothing_predicted_is_a_failure(name, photos, tmp_path, capsys):
    with pytest.raises(SystemExit, match=r'nothing in .* could be predicted'):
        predict(photos, SEG, photos / name, out=tmp_path / 'none')
    assert f'{name} cannot be' in capsys.readouterr().out
    assert not (tmp_path / 'none').exists()


def test_a_video_is_searched_for_objects(photos, tmp_path):
    predict(photos, DET, photos / 'film.avi', 'model.test_cfg.rcnn.score_thr=0.0', out=tmp_path)

    video = cv2.VideoCapture(str(tmp_path / 'pictures/film.mp4'))
    frames = [video.read()[1] for _ in range(3)]
    # Frames are eight times as large, and a legend is beside them.
    assert frames[0].shape == frames[1].shape and frames[0].shape[0] == 8 * 48 and frames[0].shape[1] > 8 * 64
    assert frames[2] is None and video.get(cv2.CAP_PROP_FPS) == 5

    content = json.loads((tmp_path / 'detections.json').read_text())
    assert len(COCO(tmp_path / 'detections.json').getAnnIds()) == len(content['annotations']) > 0
    assert [image['file_name'] for image in content['images']] == ['film_000000', 'film_000001']
    assert {category['name'] for category in content['categories']} >= {'person', 'dog'}
    assert {result['image_id'] for result in content['annotations']} == {1, 2}


@pytest.mark.parametrize(
    ('name', 'source', 'message'),
    [
        ('classifier_slak_pico_in1k', 'a.jpg', 'predict draws segmentations and detections'),
        (SEG, 'nothing', 'SOURCE: no image'),
    ],
)
def test_what_cannot_be_predicted_is_said(name, source, message, photos, tmp_path):
    with pytest.raises(SystemExit, match=message):
        main(['predict', name, 'any.pth', str(photos / source), '--out', str(tmp_path)])
