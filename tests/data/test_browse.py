"""A preview shows what a training gets, with labels where they belong."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from PIL import Image
from torch import nn

from lkdense.classification import Normalize
from lkdense.commands import main
from lkdense.config import read_config
from lkdense.data.browse import LoaderPreview
from lkdense.data.synthetic import write_scenes
from lkdense.inference.results import Instances, LabelMap

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
    """Read a config with small images, from a folder that has its data."""
    monkeypatch.chdir(data)
    return read_config(name, SMALL[name])


def first_sample(cfg, phase):
    return next(iter(LoaderPreview(cfg, phase)))


class RecordingModel(BaseModel):
    """A model that keeps the images it is trained on."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.images = []

    def forward(self, inputs, data_samples=None, label=None, mode='tensor'):
        self.images += list(inputs)
        return dict(loss=self.weight.square())


@pytest.mark.parametrize('name', SMALL)
def test_they_are_the_images_that_a_training_gets(name, data, monkeypatch, tmp_path):
    cfg = config(name, data, monkeypatch)
    length = dict(type='IterBasedTrainLoop', max_iters=2) if name == SEG else dict(max_epochs=1)
    runner = Runner(
        model=RecordingModel(),
        work_dir=str(tmp_path),
        train_dataloader={**cfg.train_dataloader, 'num_workers': 1},
        train_cfg={**cfg.train_cfg, **length},
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(iteration_seed=dict(type='IterationSeedHook'), logger=None, checkpoint=None),
        randomness=cfg.randomness,
        default_scope=cfg.default_scope,
        experiment_name=f'browse_{name}',
        log_level='ERROR',
    )
    runner.train()

    images = runner.model.images
    samples = list(islice(LoaderPreview(cfg, 'train'), len(images)))
    assert len(samples) == len(images) >= 4
    for sample, image in zip(samples, images):
        if name == CLS:
            norm = Normalize()
            image = (image * norm.std + norm.mean).flip(0)
        assert np.abs(sample.image - image.permute(1, 2, 0).numpy().clip(0, 255)).max() <= 0.51


def test_labels_are_those_of_the_image(data, monkeypatch):
    cfg = config(SEG, data, monkeypatch)
    sample = first_sample(cfg, 'train')
    assert isinstance(sample.truth, LabelMap) and sample.truth.labels.shape == sample.image.shape[:2] == (48, 64)

    # The labels of validation stay at 64x64, but the image is larger.
    sample = first_sample(cfg, 'val')
    assert sample.image.shape[:2] == sample.truth.labels.shape == (96, 96)

    preview = LoaderPreview(config(CLS, data, monkeypatch), 'train')
    for sample in preview:
        assert Path(sample.path).parent.name == preview.classes[sample.truth]


@pytest.mark.parametrize('phase', ['train', 'val'])
def test_boxes_lie_around_their_masks(phase, data, monkeypatch):
    for sample in LoaderPreview(config(DET, data, monkeypatch), phase):
        assert isinstance(sample.truth, Instances) and sample.truth.scores is None
        assert len(sample.truth.boxes) > 0

        for box, mask in zip(sample.truth.boxes, sample.truth.masks, strict=True):
            rows, columns = np.nonzero(mask)
            extent = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert np.abs(box - extent).max() <= 3


def test_floats_that_are_not_normalized_are_in_bgr(data, monkeypatch):
    cfg = config(DET, data, monkeypatch)
    as_bytes = first_sample(cfg, 'val')
    cfg.val_dataloader.dataset.pipeline[0].to_float32 = True
    as_floats = first_sample(cfg, 'val')
    assert np.ptp(as_bytes.image, axis=-1).max() > 20
    assert np.abs(as_bytes.image.astype(int) - as_floats.image).max() <= 1

    cfg.val_dataloader.dataset.pipeline.insert(3, dict(type='Normalize', mean=[120, 110, 100], std=[60, 50, 40]))
    cfg.val_dataloader.dataset = dict(type='RepeatDataset', times=2, dataset=cfg.val_dataloader.dataset)
    normalized = first_sample(cfg, 'val')
    assert np.abs(as_bytes.image.astype(int) - normalized.image).max() <= 1


def test_mixed_images_in_a_set_of_sets(data, monkeypatch):
    cfg = config(DET, data, monkeypatch)
    dataset = cfg.train_dataloader.dataset
    loading = dataset.pipeline[:2]
    dataset.pipeline = [*loading, dict(type='Normalize', mean=[120, 110, 100], std=[60, 50, 40])]
    mixing = [dict(type='CopyPaste', max_num_pasted=9), dict(type='PackDetInputs')]
    cfg.train_dataloader.dataset = dict(type='MultiImageMixDataset', dataset=dataset, pipeline=mixing)

    for sample in LoaderPreview(cfg, 'train'):
        with Image.open(sample.path) as file:
            original = np.array(file.convert('RGB'))[..., ::-1]
        untouched = ~sample.truth.masks.any(0)
        assert np.abs(original.astype(int) - sample.image)[untouched].mean() < 5


def test_masks_of_bools(data, monkeypatch):
    cfg = config(DET, data, monkeypatch)
    pipeline = cfg.train_dataloader.dataset.pipeline
    pipeline[1].poly2mask = False
    pipeline[2:] = [dict(type='CachedMosaic', img_scale=(64, 64)), dict(type='PackDetInputs')]
    for sample in LoaderPreview(cfg, 'train'):
        assert sample.truth.masks.shape[1:] == sample.image.shape[:2]


def test_maps_of_mmdetection(data, monkeypatch, tmp_path):
    cfg = config(DET, data, monkeypatch)
    dataset = cfg.val_dataloader.dataset
    for path in Path(dataset.data_root, 'val2017').iterdir():
        # No object has class 100.
        Image.new('L', Image.open(path).size, 100).save(tmp_path / f'{path.stem}.png')

    dataset.data_prefix.seg = str(tmp_path)
    dataset.pipeline[2].with_seg = True
    assert isinstance(first_sample(cfg, 'val').truth, Instances)

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
    truth = first_sample(cfg, 'val').truth
    assert isinstance(truth, LabelMap) and (truth.labels == 100).all()


def test_the_command_draws(data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(data)
    changes = [f'{key}={value}'.replace(' ', '') for key, value in SMALL[SEG].items()]
    main(['browse', SEG, '--out', str(tmp_path), '--count', '3', '--cfg-options', *changes])
    assert '3 images of train drawn' in capsys.readouterr().out

    pictures = sorted(tmp_path.glob('*.png'))
    assert [picture.name[:11] for picture in pictures] == ['0000_batch0', '0001_batch0', '0002_batch0']
    # Each is enlarged eight times and lies beside the image of the file.
    assert Image.open(pictures[0]).size[0] > 2 * 8 * 48


def test_files_of_the_metric_are_not_needed(data, monkeypatch, tmp_path):
    monkeypatch.chdir(data)
    options = ['--cfg-options', 'val_evaluator.ann_file=gone.json']
    main(['browse', DET, '--phase', 'val', '--count', '1', '--out', str(tmp_path), *options])
    assert len(list(tmp_path.iterdir())) == 1
