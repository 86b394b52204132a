"""What keeps a training or a test from starting is said in one sentence, before anything is built."""

import re
import runpy
import shutil
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from lkdense.commands.test import write_predictions
from lkdense.config import without_onedl_notice
from lkdense.data.synthetic import write_scenes

ROOT = Path(__file__).parents[2]
SEG, DET = 'upernet_slak_pico_ade20k', 'cascade_mask_rcnn_slak_pico_coco'


@pytest.fixture(scope='module')
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('launch') / 'data'
    for layout in ('ade20k', 'coco', 'voc2012'):
        write_scenes(layout, folder, images=4, size=48, val_fraction=0.5)
    return folder


@pytest.fixture
def here(data, tmp_path, monkeypatch) -> Path:
    """An own working directory with data for ADE20K, COCO and VOC2012, and with files that are no checkpoints."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(data, tmp_path / 'data')
    (tmp_path / 'notes.txt').write_text('not a checkpoint')
    torch.save(['neither', 'is', 'this'], tmp_path / 'list.pth')
    torch.save({'state_dict': {}, 'epoch': 3}, tmp_path / 'empty.pth')
    return tmp_path


@pytest.fixture
def refusal(monkeypatch, here):
    """Call a tool that shall not start; returns its last words."""

    def call(tool: str, *args: str) -> str:
        monkeypatch.setattr(sys, 'argv', [str(ROOT / 'tools' / tool), *args])
        monkeypatch.setattr('mmengine.runner.Runner.__init__', lambda *_, **__: pytest.fail('a runner was built'))
        with pytest.raises(SystemExit) as caught:
            runpy.run_path(sys.argv[0], run_name='__main__')
        # Python prints a text and exits with 1.
        assert isinstance(caught.value.code, str)
        assert '\n' not in caught.value.code
        assert caught.value.code.startswith(f'{tool}: ')
        return caught.value.code

    return call


def config(name: str) -> str:
    return str(ROOT / f'configs/{name}.py')


def test_missing_data_names_path_layout_and_readme(refusal, here):
    shutil.rmtree(here / 'data/ade/ADEChallengeData2016/annotations/training')
    said = refusal('train.py', config(SEG))
    assert 'data/ade/ADEChallengeData2016/annotations/training does not exist' in said
    assert 'ADE20KDataset expects images/training, annotations/training in data/ade/ADEChallengeData2016' in said
    assert 'section Data of docs/guides/training.md' in said


@pytest.mark.parametrize(
    ('name', 'gone', 'loader'),
    [
        (SEG, 'data/ade/ADEChallengeData2016/images/training', 'train_dataloader'),
        (SEG, 'data/ade/ADEChallengeData2016/images/validation', 'val_dataloader'),
        (DET, 'data/coco/annotations/instances_train2017.json', 'train_dataloader'),
        (DET, 'data/coco/val2017', 'val_dataloader'),
        # This config has two data sets in a ConcatDataset.
        ('upernet_slak_t_voc12', 'data/VOCdevkit/VOC2012/ImageSets/Segmentation/aug.txt', 'train_dataloader'),
        ('upernet_slak_t_voc12', 'data/VOCdevkit/VOC2012/SegmentationClassAug', 'train_dataloader'),
        ('faster_rcnn_slak_t_voc07', 'data/VOCdevkit/VOC2007/ImageSets/Main/trainval.txt', 'train_dataloader'),
        ('upernet_slak_t_cityscapes', 'data/cityscapes/leftImg8bit/train', 'train_dataloader'),
    ],
)
def test_every_missing_file_or_folder_is_found(name, gone, loader, refusal, here):
    path = here / gone
    if path.exists():
        path.unlink() if path.is_file() else shutil.rmtree(path)
    assert f'no data for {loader}: {gone} does not exist' in refusal('train.py', config(name))


def test_missing_test_data(refusal, here):
    shutil.rmtree(here / 'data/coco/val2017')
    assert 'no data for test_dataloader: data/coco/val2017' in refusal('test.py', config(DET), 'some.pth')


def test_an_empty_folder_is_no_data(refusal, here):
    shutil.rmtree(here / 'data/coco/train2017')
    (here / 'data/coco/train2017').mkdir()
    assert 'data/coco/train2017 is empty' in refusal('train.py', config(DET))


def test_missing_annotations_of_the_metric(refusal):
    said = refusal('train.py', config(DET), '--cfg-options', 'val_evaluator.ann_file=elsewhere.json')
    assert 'no annotations for val_evaluator: elsewhere.json does not exist' in said


@pytest.mark.parametrize(
    ('path', 'problem'),
    [
        ('nowhere.pth', r'there is no checkpoint nowhere\.pth'),
        ('notes.txt', r'notes\.txt is not a checkpoint'),
        ('list.pth', r'list\.pth is not a checkpoint'),
        ('empty.pth', r'empty\.pth is not a checkpoint: it holds no weights'),
    ],
)
@pytest.mark.parametrize('option', ['--resume', 'load_from', 'init_cfg', 'CHECKPOINT'])
def test_what_is_no_checkpoint(option, path, problem, refusal):
    init_cfg = ['model.backbone.init_cfg.type=Pretrained', f'model.backbone.init_cfg.checkpoint={path}']
    args = {
        '--resume': ['train.py', config(SEG), '--resume', path],
        'load_from': ['train.py', config(SEG), '--cfg-options', f'load_from={path}'],
        'init_cfg': ['train.py', config(SEG), '--cfg-options', *init_cfg],
        'CHECKPOINT': ['test.py', config(SEG), path],
    }
    assert re.search(f'{option}: {problem}', refusal(*args[option]))


def test_a_vanished_last_checkpoint_is_named(refusal, here):
    (here / 'work').mkdir()
    (here / 'work/last_checkpoint').write_text('work/iter_10.pth')
    said = refusal('train.py', config(SEG), '--resume', '--work-dir', 'work')
    assert '--resume: there is no checkpoint work/iter_10.pth' in said


def test_missing_config(refusal):
    assert refusal('train.py', 'configs/nothing.py') == 'train.py: there is no config configs/nothing.py'


def test_auto_scale_lr_without_a_batch_size(refusal):
    said = refusal('train.py', config(SEG), '--auto-scale-lr', '--cfg-options', 'auto_scale_lr=None')
    assert 'has no auto_scale_lr=dict(base_batch_size=...)' in said


@pytest.mark.skipif(torch.cuda.is_available(), reason='about machines without a GPU')
def test_amp_without_a_gpu(refusal):
    assert '--amp needs a GPU' in refusal('train.py', config(SEG), '--amp')


def test_a_launcher_that_did_not_launch(refusal, monkeypatch):
    monkeypatch.delenv('RANK', raising=False)
    assert 'that torchrun has started' in refusal('train.py', config(SEG), '--launcher', 'pytorch')


@pytest.mark.parametrize(
    ('options', 'problem'),
    [
        (['--tta'], '--tta needs a tta_model and a tta_pipeline'),
        (['--out', 'boxes.json'], 'predictions of a detector go to a .pkl file, got boxes.json'),
        (
            ['--show-dir', 'pictures', '--cfg-options', 'default_hooks.visualization=None'],
            '--show-dir needs a default_hooks.visualization',
        ),
    ],
)
def test_what_this_config_cannot_do(options, problem, refusal, here):
    torch.save({'state_dict': {'backbone.weight': torch.ones(1)}}, here / 'some.pth')
    assert problem in refusal('test.py', config(DET), 'some.pth', *options)


def test_label_maps_are_written_by_any_iou_metric_and_by_no_other(refusal, here, tmp_path):
    cfg = Config(dict(default_scope='mmseg', test_evaluator=dict(type='mmseg.IoUMetric')))
    write_predictions(cfg, tmp_path)
    assert cfg.test_evaluator[0]['output_dir'] == str(tmp_path)
    torch.save({'state_dict': {'backbone.weight': torch.ones(1)}}, here / 'some.pth')
    said = refusal('test.py', config(SEG), 'some.pth', '--out', 'o', '--cfg-options', 'test_evaluator.type=DepthMetric')
    assert '--out: IoUMetric writes label maps, and the test_evaluator has DepthMetric' in said


def test_only_the_notice_of_onedl_is_dropped(capsys):
    with without_onedl_notice():
        sys.stdout.write('before\nCould not import OneDL. Skipping OneDL datasets.\nafter\n')
    assert capsys.readouterr().out == 'before\nafter\n'
    with pytest.raises(KeyError), without_onedl_notice():
        sys.stdout.write('printed before an error\n')
        raise KeyError
    assert capsys.readouterr().out == 'printed before an error\n'
