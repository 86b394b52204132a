"""Shape against texture: models that follow one of them alone, intervals, and the command on real models."""

import csv
import json
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from lkdense.analysis.shape_bias import (
    Decision,
    ShapeBias,
    compute_shape_bias,
    decide,
    guessed_fraction,
    plot_cues,
    plot_shape_bias,
    summarise,
    wilson,
)
from lkdense.commands import main
from lkdense.config import read_config
from lkdense.data.synthetic import write_scenes
from lkdense.data.synthetic.cue_conflict import GREY, CueImage, cut_cues
from lkdense.inference.results import Instances, LabelMap
from lkdense.models import load_model

CLASSES = ('background', 'person', 'bicycle')
RED, GREEN = (200, 30, 30), (30, 200, 30)
EXAMPLES = Path(__file__).parents[2] / 'configs/examples'
SEGMENTOR = str(EXAMPLES / 'upernet_convnext_pico_cues.py')
DETECTOR = str(EXAMPLES / 'cascade_mask_rcnn_slak_pico_shapes.py')
CLASSIFIER = str(EXAMPLES / 'classifier_slak_pico_shapes.py')


@pytest.fixture(scope='module')
def instances(tmp_path_factory):
    """Ten red squares, called persons, and ten green disks, called bicycles, in COCO's format."""
    folder = tmp_path_factory.mktemp('instances')
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:128, :128]

    images, annotations = [], []
    for number in range(1, 21):
        category = 1 + number % 2
        row, column = generator.integers(50, 78, 2)
        square = np.maximum(np.abs(rows - row), np.abs(columns - column)) < 40
        disk = np.hypot(rows - row, columns - column) < 40
        mask = (square if category == 1 else disk).astype(np.uint8)

        image = np.full((128, 128, 3), (30, 30, 120), np.uint8)
        image[mask == 1] = RED if category == 1 else GREEN
        cv2.imwrite(str(folder / f'{number}.png'), image[..., ::-1])
        images.append(dict(id=number, file_name=f'{number}.png', height=128, width=128))

        outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        box, polygon = list(cv2.boundingRect(mask)), outlines[0].ravel().tolist()
        annotation = dict(id=number, image_id=number, category_id=category, iscrowd=0, area=int(mask.sum()))
        annotations.append(annotation | dict(bbox=box, segmentation=[polygon]))

    categories = [dict(id=1, name='person'), dict(id=2, name='bicycle')]
    path = folder / 'instances.json'
    path.write_text(json.dumps(dict(images=images, annotations=annotations, categories=categories)))

    return path


class Oracle(nn.Module):
    """Label everything that is not grey in ``[N, 3, H, W]`` in BGR, by its outline alone or by its colour alone."""

    def __init__(self, cue: str):
        super().__init__()
        self.cue = cue
        self.register_buffer('grey', torch.tensor(GREY[::-1]).view(3, 1, 1).float())

    def forward(self, x):
        occupied = (x - self.grey).abs().amax(1) > 8
        labels = []
        for inside, image in zip(occupied, x):
            rows, columns = inside.any(1).sum(), inside.any(0).sum()
            # A disk fills 0.79 of its box.
            by_shape = inside.sum() > 0.9 * rows * columns
            by_colour = image[2][inside].mean() > image[1][inside].mean()
            person = by_shape if self.cue == 'shape' else by_colour
            labels.append(torch.where(inside, 1 if person else 2, 0))
        return torch.stack(labels)


def segments(oracle):
    return lambda image: LabelMap(oracle(torch.from_numpy(image).permute(2, 0, 1)[None].float())[0].numpy())


def detects(oracle):
    def predict(image):
        labels = segments(oracle)(image).labels
        left, top, width, height = cv2.boundingRect((labels > 0).astype(np.uint8))
        # A more confident box lies elsewhere, and a less confident one of the other class in the same place.
        boxes = np.array([(0, 0, 5, 5), (left, top, left + width, top + height)] * 2, np.float32)
        classes = np.array([labels.max(), labels.max(), 0, 3 - labels.max()])
        return Instances(boxes, np.array([0.9, 0.8, 0.7, 0.6]), classes, None)

    return predict


def classifies(oracle):
    return lambda image: int(segments(oracle)(image).labels.max())


@pytest.mark.parametrize('task', [segments, detects, classifies])
@pytest.mark.parametrize(('cue', 'fraction'), [('shape', 1.0), ('texture', 0.0)])
def test_models_that_follow_one_cue_alone(task, cue, fraction, instances):
    predict = task(Oracle(cue))
    bias = summarise(compute_shape_bias(predict, CLASSES, cut_cues(instances, instances.parent, CLASSES, 100)))
    assert bias == ((20, 0, 0) if cue == 'shape' else (0, 20, 0))
    assert bias.fraction == fraction
    # Wilson's interval for 20 of 20 is computed by hand.
    assert bias.interval == pytest.approx((0.8389, 1.0) if cue == 'shape' else (0.0, 0.1611), abs=1e-4)
    agreeing = cut_cues(instances, instances.parent, CLASSES, 100, agree=True)
    assert {decision.follows for decision in compute_shape_bias(predict, CLASSES, agreeing)} == {'both'}


@pytest.mark.parametrize(
    ('successes', 'trials', 'interval'),
    # The example 81 of 263 is from Newcombe, Statistics in Medicine 17, 1998.
    [(0, 10, (0.0, 0.2775)), (5, 10, (0.2366, 0.7634)), (81, 263, (0.2553, 0.3662)), (0, 0, (0.0, 1.0))],
)
def test_wilsons_interval(successes, trials, interval):
    assert wilson(successes, trials) == pytest.approx(interval, abs=1e-4)


def test_wilsons_interval_holds_the_truth_as_often_as_it_says():
    counts = np.random.default_rng(0).binomial(50, 0.3, 2000)
    intervals = np.array([wilson(int(count), 50) for count in counts])
    covers_truth = (intervals[:, 0] <= 0.3) & (intervals[:, 1] >= 0.3)
    assert 0.93 < covers_truth.mean() < 0.97


def test_more_successes_than_trials_are_refused():
    with pytest.raises(ValueError, match=r'successes must be in \[0, 3\], got 4'):
        wilson(4, 3)


def cue(shape=('person',), texture=('bicycle',)):
    mask = np.zeros((20, 20), bool)
    mask[5:15, 5:15] = True
    return CueImage(np.zeros((20, 20, 3), np.uint8), mask, shape, texture)


def test_the_majority_of_the_objects_pixels_decides():
    labels = np.ones((20, 20), np.uint8)
    labels[5:15, 5:11] = 2
    assert decide(LabelMap(labels), cue()) == 2
    labels[5:15, 5:7] = 1
    assert decide(LabelMap(labels), cue()) == 1


def test_a_box_decides_from_half_of_the_union_on():
    def boxes(*right):
        corners = np.array([(5, 5, end, 15) for end in right], np.float32).reshape(-1, 4)
        return Instances(corners, np.linspace(1, 0, len(right)), np.arange(len(right)), None)

    # The object reaches from 5 to 15, so boxes to 9 and to 10 have 0.4 and 0.5 of it.
    assert decide(boxes(9), cue()) is None
    assert decide(boxes(9, 10), cue()) == 1
    assert decide(boxes(26, 24, 15), cue()) == 1
    assert decide(boxes(), cue()) is None


def test_decisions_for_neither_are_counted_apart():
    decisions = []
    for index in (0, 1, 1, 2):
        decisions += compute_shape_bias(lambda image, index=index: index, CLASSES, [cue()])

    assert decisions == [
        Decision('background', 'neither'),
        *[Decision('person', 'shape')] * 2,
        Decision('bicycle', 'texture'),
    ]
    assert summarise(decisions) == ShapeBias(2, 1, 1)
    assert summarise(decisions).fraction == pytest.approx(2 / 3)
    assert np.isnan(ShapeBias(0, 0, 5).fraction) and ShapeBias(0, 0, 5).interval == (0.0, 1.0)


def test_guessing_follows_what_more_classes_share():
    assert guessed_fraction([cue(), cue(texture=('bicycle', 'car'))]) == pytest.approx(2 / 5)


def test_figures():
    long = ', '.join(['kernel_sizes=[31,29,27,13]'] * 8)
    figure = plot_shape_bias({'a': ShapeBias(8, 2, 1), long: ShapeBias(0, 0, 4)}, guessed=1 / 3)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        figure.draw_without_rendering()

    (axis,) = figure.axes
    texts = [text.get_text() for text in axis.texts]
    assert texts[0] == 'a\n8 shape, 2 texture, 1 neither'
    assert texts[1].replace('\n', ' ') == f'{long} 0 shape, 0 texture, 4 neither'
    assert axis.get_window_extent().width > figure.bbox.width * 0.9
    # No text leaves the panel.
    assert all(text.get_window_extent().x1 <= axis.bbox.x1 for text in axis.texts)
    figure = plot_cues([cue(), cue()], [Decision('person', 'shape'), Decision(None, 'neither')])
    assert 'predicted: person' in figure.axes[0].get_title() and len(figure.axes) == 4


def save(name, path, options=None):
    cfg = read_config(name, options)
    for part in (cfg.model, cfg.model.backbone):
        part.init_cfg = None
    torch.save(dict(state_dict=load_model(cfg).state_dict()), path)
    return str(path)


def rows(path):
    return list(csv.DictReader(path.open()))


@pytest.fixture(scope='module')
def segmentor(tmp_path_factory):
    """The words that name a segmentor and its weights."""
    return [SEGMENTOR, save(SEGMENTOR, tmp_path_factory.mktemp('weights') / 'segmentor.pth')]


def test_the_command_on_a_segmentor(segmentor, tmp_path):
    options = ['--synthetic', 'ade20k', '--size', '64', '--count', '12', '--out', str(tmp_path)]
    main(['shape-bias', *segmentor, *options])
    (row,) = rows(tmp_path / 'shape_bias.csv')
    assert sum(int(row[key]) for key in ('follow the shape', 'follow the texture', 'neither')) == 12
    assert row['model'] == Path(SEGMENTOR).stem and row['objects whose cues agree'] == '12'

    decisions = rows(tmp_path / 'decisions.csv')
    assert len(decisions) == 24 and {row['shape'] for row in decisions} == {'building', 'sky', 'floor', 'tree'}
    assert (tmp_path / 'images_1.png').stat().st_size > 10_000


def test_the_command_on_a_detector(instances, tmp_path):
    checkpoint = save(DETECTOR, tmp_path / 'detector.pth')
    options = ['--coco', str(instances), '--images', str(instances.parent), '--count', '2', '--out', str(tmp_path)]
    main(['shape-bias', DETECTOR, checkpoint, *options])
    assert [row['shape'] for row in rows(tmp_path / 'decisions.csv')] == ['bicycle', 'person'] * 2


def test_data_that_do_not_fit_the_model_are_refused(segmentor, instances, tmp_path):
    out = ['--out', str(tmp_path)]
    with pytest.raises(SystemExit, match='no whole instance of one class'):
        main(['shape-bias', *segmentor, '--coco', str(instances), '--images', str(instances.parent), *out])
    with pytest.raises(SystemExit, match='the first 0 are known to the model'):
        main(['shape-bias', *segmentor, '--synthetic', 'imagenet', *out])
    with pytest.raises(SystemExit, match='name a checkpoint'):
        main(['shape-bias', SEGMENTOR, '--synthetic', 'ade20k', *out])


def test_the_command_on_a_classifier(tmp_path):
    write_scenes('imagenet', tmp_path, images=4, size=64, num_classes=4)
    checkpoint = save(CLASSIFIER, tmp_path / 'classifier.pth')
    root = f'test_dataloader.dataset.data_root={tmp_path}/imagenet/val'
    options = ['--synthetic', 'imagenet', '--classes', '4', '--size', '64', '--count', '12', '--out', str(tmp_path)]
    main(['shape-bias', CLASSIFIER, checkpoint, '--cfg-options', root, *options])
    predicted = {row['predicted'] for row in rows(tmp_path / 'decisions.csv')}
    assert predicted and all(name.startswith('n01') for name in predicted)


@pytest.mark.slow
def test_a_segmentor_trained_on_colours_follows_them(instances, tmp_path):
    """Red squares and green disks: a network learns the colour first, as the images whose cues disagree then show."""
    from mmengine.runner import Runner
    from mmseg.datasets import ADE20KDataset

    names = ADE20KDataset.METAINFO['classes']
    known = ['wall', 'person', 'bicycle', 'floor', 'tree']

    for split in ('training', 'validation'):
        for folder in ('images', 'annotations'):
            (tmp_path / folder / split).mkdir(parents=True)
        for number, cue in enumerate(cut_cues(instances, instances.parent, CLASSES, 20, agree=True)):
            label = np.where(cue.mask, 1 + names.index(cue.shape[0]), 1).astype(np.uint8)
            cv2.imwrite(str(tmp_path / 'images' / split / f'{number}.jpg'), cue.image[..., ::-1])
            cv2.imwrite(str(tmp_path / 'annotations' / split / f'{number}.png'), label)

    options = {'train_cfg.max_iters': 60, 'train_cfg.val_interval': 60}
    for part in ('train', 'val', 'test'):
        dataset = f'{part}_dataloader.dataset'
        options |= {f'{dataset}.data_root': str(tmp_path), f'{dataset}.metainfo.classes': known}

    cfg = read_config(SEGMENTOR, options)
    cfg.work_dir = str(tmp_path)
    Runner.from_cfg(cfg).train()
    classes = f'test_dataloader.dataset.metainfo.classes=[{",".join(known)}]'
    arguments = [SEGMENTOR, str(tmp_path / 'iter_60.pth'), '--cfg-options', classes, '--out', str(tmp_path)]
    main(['shape-bias', *arguments, '--coco', str(instances), '--images', str(instances.parent)])
    (row,) = rows(tmp_path / 'shape_bias.csv')
    assert int(row['of them recognised']) >= 18 and row['objects whose cues agree'] == '20'
    assert int(row['follow the texture']) >= 15 and float(row['high']) < 0.5
