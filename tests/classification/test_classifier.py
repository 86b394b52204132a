"""Classifiers give the authors' scores from their checkpoints, train on soft targets, and pretrain dense models."""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from processes import run_command

from lkdense.classification import Accuracy, ImageClassifier, ImageFolder
from lkdense.classification.classifier import cut_and_mix
from lkdense.config import read_config
from lkdense.data.synthetic import write_scenes
from lkdense.models import load_model
from lkdense.training import OfficialCheckpointHook

ROOT = Path(__file__).parents[2]
OFFICIAL = ROOT / 'tests/official'
SMALL = dict(depths=(1, 1, 2, 1), dims=(8, 16, 24, 32))
UNI = dict(arch=dict(depths=(2, 2, 3, 2), dims=(8, 16, 24, 32)), kernel_sizes=((3, 3), (13, 13), (13, 3, 13), (13, 13)))
FIXTURES = {
    'slak_51_decomposed': ('layer', dict(type='SLaK', arch=SMALL)),
    'replknet_31_small5': ('batch', dict(type='RepLKNet', arch=SMALL)),
    'convnext_7': ('layer', dict(type='ConvNeXt', arch=SMALL)),
    'unireplknet_train': ('layer', dict(type='UniRepLKNet', **UNI)),
}


def build(name, **options):
    norm, backbone = FIXTURES[name]
    return ImageClassifier(dict(backbone, out_indices=(3,), norm_outputs=False), num_classes=10, norm=norm, **options)


@pytest.mark.parametrize('name', FIXTURES)
def test_scores_are_the_authors(name):
    model = build(name)
    checkpoint = torch.load(OFFICIAL / f'{name}.pth')
    OfficialCheckpointHook().after_load_checkpoint(SimpleNamespace(model=model), checkpoint)
    model.load_state_dict(checkpoint['state_dict'], strict=True)

    expected = torch.load(OFFICIAL / f'{name}.expected.pt')
    with torch.no_grad():
        scores = model.eval()(expected['input'])
    assert (scores - expected['logits']).abs().max() <= 1e-4 * expected['logits'].abs().max()


def test_targets_are_smoothed():
    model = build('convnext_7', label_smoothing=0.1)
    _, targets = model.targets(torch.rand(2, 3, 8, 8), [3, 0])
    assert targets[0, 3] == pytest.approx(0.91) and targets[0, 0] == pytest.approx(0.01)
    torch.testing.assert_close(targets.sum(1), torch.ones(2))


@pytest.mark.parametrize('options', [dict(mixup=0.8), dict(cutmix=1.0), dict(mixup=0.8, cutmix=1.0)])
def test_mixed_targets_say_how_much_of_each_image_there_is(options):
    model = build('convnext_7', **options)
    # Every pixel of an image is its label, so the mean of a mixture shows the share of each.
    labels = torch.arange(4)
    images = labels.float().view(4, 1, 1, 1).expand(4, 3, 64, 64)

    for seed in range(20):
        np.random.seed(seed)
        inputs, targets = model.targets(images, labels)
        shown = inputs.mean((1, 2, 3))
        torch.testing.assert_close(targets @ torch.arange(10.0), shown, rtol=0, atol=1e-4)
        torch.testing.assert_close(targets.sum(1), torch.ones(4))


def test_a_cut_keeps_the_rest_of_the_image():
    images = torch.rand(4, 3, 32, 32)
    mixed, share = cut_and_mix(images, 0.5)
    assert (mixed == images).float().mean().item() == pytest.approx(share, abs=1e-6)
    assert ((mixed == images) | (mixed == images.flip(0))).all()


def test_the_loss_without_mixing_is_cross_entropy():
    model = build('convnext_7').eval()
    images, labels = torch.rand(2, 3, 32, 32), [3, 0]
    loss = model(images, labels, mode='loss')['loss']
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(model(images), torch.tensor(labels)))


def test_an_unknown_norm_is_refused():
    with pytest.raises(ValueError, match='norm must be one of layer, batch, got '):
        ImageClassifier(dict(type='ConvNeXt', arch=SMALL), norm='instance')


def test_accuracy_by_hand():
    metric = Accuracy(topk=(1, 2))
    for scores, label in (
        ([0.1, 0.7, 0.2], 1),
        ([0.5, 0.1, 0.4], 2),
        ([0.2, 0.3, 0.5], 0),
        ([0.9, 0.0, 0.1], 0),
    ):
        metric.process({}, [dict(scores=torch.tensor(scores), label=label)])

    assert metric.evaluate(4) == {'accuracy/top1': 50.0, 'accuracy/top2': 75.0}


def test_classes_are_numbered_by_name_and_may_be_empty(tmp_path):
    synthetic = write_scenes('imagenet', tmp_path, images=12, size=48, num_classes=3)
    dataset = ImageFolder(str(synthetic.folder / 'train'))
    assert len(dataset) == synthetic.train

    classes = dataset.metainfo['classes']
    assert classes[:2] == ['n01440764', 'n01443537'] and len(classes) == 10
    for index in range(len(dataset)):
        data = dataset.get_data_info(index)
        assert classes[data['label']] == Path(data['img_path']).parent.name


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r'expected images .* in folders of classes in .*, found none'):
        ImageFolder(str(tmp_path / 'nothing'))


@pytest.fixture(scope='module')
def pretraining(tmp_path_factory):
    """A folder with synthetic images, a config and two epochs of training; and the text that the command printed."""
    folder = tmp_path_factory.mktemp('pretraining')
    write_scenes('imagenet', folder / 'data', images=40, size=64, num_classes=2)
    (folder / 'config.py').write_text(
        f"""
_base_ = {str(ROOT / 'configs/classifier_slak_pico_in1k.py')!r}
arch = dict(depths=(1, 1, 1, 1), dims=(8, 16, 24, 32))
sizes = dict(arch=arch, kernel_sizes=(13, 11, 9, 7), out_indices=(3,), norm_outputs=False)
model = dict(backbone=dict(_delete_=True, type='SLaK', **sizes), num_classes=10)
train_dataloader = dict(batch_size=8, num_workers=0, persistent_workers=False)
val_dataloader = dict(batch_size=8, num_workers=0, persistent_workers=False)
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=2, val_interval=1)
default_hooks = dict(checkpoint=dict(interval=1), logger=dict(interval=1))
custom_hooks = [dict(type='EMAHook', momentum=0.1), dict(type='SparseTrainingHook', density=0.6, interval=2)]
"""
    )

    return folder, run_command(folder, 'train', 'config.py', '--work-dir', 'work').stdout


def test_a_classifier_trains_sparsely_and_is_tested(pretraining):
    folder, printed = pretraining
    assert 'accuracy/top1' in printed and 'sparse/density: 0.6' in printed
    printed = run_command(folder, 'test', 'config.py', 'work/epoch_2.pth', '--work-dir', 'tested').stdout
    assert re.search(r'top-1 \d+\.\d\d %, top-5 \d+\.\d\d %', printed.splitlines()[-1])


def test_its_training_resumes(pretraining):
    folder, _ = pretraining
    done = run_command(folder, 'train', 'config.py', '--work-dir', 'work', '--resume')
    assert 'resumed epoch: 2' in done.stdout


def test_its_checkpoint_starts_a_dense_model_which_stays_sparse(pretraining):
    folder, _ = pretraining
    cfg = read_config('upernet_slak_pico_ade20k')
    cfg.model.backbone.update(
        arch=dict(depths=(1, 1, 1, 1), dims=(8, 16, 24, 32)),
        kernel_sizes=(13, 11, 9, 7),
        init_cfg=dict(type='Pretrained', checkpoint=str(folder / 'work/epoch_2.pth')),
    )
    widths = [10, 20, 31, 41]
    cfg.model.decode_head.in_channels, cfg.model.auxiliary_head.in_channels = widths, widths[2]
    backbone = load_model(cfg).backbone.state_dict()

    pretrained = torch.load(folder / 'work/epoch_2.pth', weights_only=False)['state_dict']
    for name, weight in pretrained.items():
        if name.startswith('backbone.'):
            torch.testing.assert_close(backbone[name.removeprefix('backbone.')], weight)

    conv = backbone['stages.2.0.mlp.0.weight']
    assert 0 < conv.count_nonzero() < 0.95 * conv.numel()
