"""What is browsed is what a training gets, with labels where they belong."""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from PIL import Image
from torch import nn

from lkdense.classification import Normalize
from lkdense.commands import browse
from lkdense.config import read_config
from lkdense.data.browse import Feed
from lkdense.data.synthetic import write_scenes
from lkdense.inference.results import Instances, LabelMap

ROOT = Path(__file__).parents[2]
SEG, DET, CLS = 'upernet_slak_pico_ade20k', 'cascade_mask_rcnn_slak_pico_coco', 'classifier_slak_pico_in1k'
SMALL = {
    SEG: {
        'train_dataloader.dataset.pipeline.2.scale': (128, 64),
        'train_dataloader.dataset.pipeline.3.crop_size': (48, 64),
        'val_dataloader.dataset.pipeline.1.scale': (96, 96),
    },
    DET: {'val_dataloader.dataset.pipeline.1.scale': (160, 96)},
    CLS: {'train_dataloader.batch_size': 4},
}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    pytest.importorskip('mmdet.utils')
    folder = tmp_path_factory.mktemp('browse')
    for layout in ('ade20k', 'coco', 'imagenet'):
        write_scenes(layout, folder / 'data', images=8, size=64)
    return folder


def config(name, data, monkeypatch):
    monkeypatch.chdir(data)
    return read_config(name, SMALL[name])


class Watch(BaseModel):
    """Keeps the images that it is trained on."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.seen = []

    def forward(self, inputs, data_samples=None, label=None, mode='tensor'):
        self.seen += list(inputs)
        return dict(loss=self.weight.square())


@pytest.mark.parametrize('name', SMALL)
def test_they_are_the_images_that_a_training_gets(name, data, monkeypatch, tmp_path):
    cfg = config(name, data, monkeypatch)
    by_epoch = dict(max_epochs=1) if name != SEG else dict(type='IterBasedTrainLoop', max_iters=2)
    runner = Runner(
        model=Watch(),
        work_dir=str(tmp_path),
        train_dataloader={**cfg.train_dataloader, 'num_workers': 1},
        train_cfg={**cfg.train_cfg, **by_epoch},
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(iteration_seed=dict(type='IterationSeedHook'), logger=None, checkpoint=None),
        randomness=cfg.randomness,
        default_scope=cfg.default_scope,
        experiment_name=f'browse_{name}',
        log_level='ERROR',
    )
    runner.train()
    fed = [sample for sample, _ in zip(Feed(cfg, 'train'), runner.model.seen)]
    assert len(fed) == len(runner.model.seen) >= 4

    for sample, image in zip(fed, runner.model.seen):
        if name == CLS:
            norm = Normalize()
            image = (image * norm.std + norm.mean).flip(0)
        assert np.abs(sample.image - image.permute(1, 2, 0).numpy().clip(0, 255)).max() <= 0.51


def test_labels_are_those_of_the_image(data, monkeypatch):
    cfg = config(SEG, data, monkeypatch)
    sample = next(iter(Feed(cfg, 'train')))
    assert isinstance(sample.truth, LabelMap) and sample.truth.labels.shape == sample.image.shape[:2] == (48, 64)
    sample = next(iter(Feed(cfg, 'val')))
    # labels stay at 64x64, the image is larger
    assert sample.image.shape[:2] == sample.truth.labels.shape == (96, 96)
    cfg = config(CLS, data, monkeypatch)
    feed = Feed(cfg, 'train')
    for sample in feed:
        assert Path(sample.path).parent.name == feed.classes[sample.truth]


@pytest.mark.parametrize('phase', ['train', 'val'])
def test_boxes_lie_around_their_masks(phase, data, monkeypatch):
    for sample in Feed(config(DET, data, monkeypatch), phase):
        assert isinstance(sample.truth, Instances) and sample.truth.scores is None
        for box, mask in zip(sample.truth.boxes, sample.truth.masks, strict=True):
            rows, columns = np.nonzero(mask)
            around = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert np.abs(box - around).max() <= 3
        assert len(sample.truth.boxes) > 0


def test_floats_that_are_not_normalized_are_in_bgr(data, monkeypatch):
    cfg = config(DET, data, monkeypatch)
    as_bytes = next(iter(Feed(cfg, 'val')))
    cfg.val_dataloader.dataset.pipeline[0].to_float32 = True
    as_floats = next(iter(Feed(cfg, 'val')))
    assert np.ptp(as_bytes.image, axis=-1).max() > 20
    assert np.abs(as_bytes.image.astype(int) - as_floats.image).max() <= 1
    cfg.val_dataloader.dataset.pipeline.insert(3, dict(type='Normalize', mean=[120, 110, 100], std=[60, 50, 40]))
    cfg.val_dataloader.dataset = dict(type='RepeatDataset', times=2, dataset=cfg.val_dataloader.dataset)
    normalized = next(iter(Feed(cfg, 'val')))
    assert np.abs(as_bytes.image.astype(int) - normalized.image).max() <= 1


def test_mixed_images_in_a_set_of_sets(data, monkeypatch):
    cfg = config(DET, data, monkeypatch)
    dataset = cfg.train_dataloader.dataset
    loading = dataset.pipeline[:2]
    dataset.pipeline = [*loading, dict(type='Normalize', mean=[120, 110, 100], std=[60, 50, 40])]
    mixing = [dict(type='CopyPaste', max_num_pasted=9), dict(type='PackDetInputs')]
    cfg.train_dataloader.dataset = dict(type='MultiImageMixDataset', dataset=dataset, pipeline=mixing)

    for sample in Feed(cfg, 'train'):
        with Image.open(sample.path) as file:
            raw = np.array(file.convert('RGB'))[..., ::-1]
        untouched = ~sample.truth.masks.any(0)
        assert np.abs(raw.astype(int) - sample.image)[untouched].mean() < 5


def test_masks_of_bools(data, monkeypatch):
    cfg = config(DET, data, monkeypatch)
    pipeline = cfg.train_dataloader.dataset.pipeline
    pipeline[1].poly2mask = False
    pipeline[2:] = [dict(type='CachedMosaic', img_scale=(64, 64)), dict(type='PackDetInputs')]
    for sample in Feed(cfg, 'train'):
        assert sample.truth.masks.shape[1:] == sample.image.shape[:2]


def test_maps_of_mmdetection(data, monkeypatch, tmp_path):
    cfg = config(DET, data, monkeypatch)
    dataset = cfg.val_dataloader.dataset
    for path in Path(dataset.data_root, 'val2017').iterdir():
        # of a class that no object has
        Image.new('L', Image.open(path).size, 100).save(tmp_path / f'{path.stem}.png')

    dataset.data_prefix.seg = str(tmp_path)
    dataset.pipeline[2].with_seg = True
    assert isinstance(next(iter(Feed(cfg, 'val'))).truth, Instances)
    cfg.val_dataloader.dataset = dict(
        type='BaseSegDataset',
        metainfo=dict(classes=[str(index) for index in range(101)]),
        data_prefix=dict(img_path=str(Path(dataset.data_root, 'val2017').resolve()), seg_map_path=str(tmp_path)),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=False, with_seg=True),
            dict(type='PackDetInputs'),
        ],
    )
    truth = next(iter(Feed(cfg, 'val'))).truth
    assert isinstance(truth, LabelMap) and (truth.labels == 100).all()


def test_the_command_draws(data, tmp_path):
    options = [f'{key}={value}'.replace(' ', '') for key, value in SMALL[SEG].items()]
    command = [sys.executable, ROOT / 'tools/browse.py', SEG, '--out', tmp_path, '--count', '3', '--cfg-options']
    done = subprocess.run([*map(str, command), *options], cwd=data, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert '3 images of train drawn' in done.stdout
    pictures = sorted(tmp_path.glob('*.png'))
    assert [picture.name[:11] for picture in pictures] == ['0000_batch0', '0001_batch0', '0002_batch0']
    # enlarged eight times, and beside it the file
    assert Image.open(pictures[0]).size[0] > 2 * 8 * 48


def test_files_of_the_metric_are_not_needed(data, monkeypatch, tmp_path):
    monkeypatch.chdir(data)
    parser = argparse.ArgumentParser()
    browse.add_arguments(parser)
    options = ['--cfg-options', 'val_evaluator.ann_file=gone.json']
    browse.main(parser.parse_args([DET, '--phase', 'val', '--count', '1', '--out', str(tmp_path), *options]))
    assert len(list(tmp_path.iterdir())) == 1
