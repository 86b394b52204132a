"""Official classification checkpoints through the Runner's ``load_from``, into the backbone of a whole model."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel, BaseTTAModel
from mmengine.runner import Runner
from torch import nn

from lkdense.backbones import ConvNeXt, SLaK
from lkdense.checkpoints.keys import unwrap
from lkdense.errors import UserError
from lkdense.training.runner import CompleteCheckpointHook, ToolRunner

OFFICIAL = Path(__file__).parents[1] / 'official'
ARCH = dict(depths=(1, 1, 2, 1), dims=(8, 16, 24, 32))


class Segmentor(BaseModel):
    def __init__(self, backbone=None, classes=3):
        super().__init__()
        self.backbone = backbone or ConvNeXt(arch=ARCH)
        self.decode_head = nn.Conv2d(32, classes, 1)

    def forward(self, inputs, mode='tensor'):
        return self.decode_head(self.backbone(inputs)[-1])


class Augmented(BaseTTAModel):
    def merge_preds(self, data_samples_list):
        return data_samples_list


def load(model, path, tmp_path, kind=Runner, complete=False):
    hooks = [dict(type='OfficialCheckpointHook')]
    if complete:
        hooks.append(CompleteCheckpointHook())

    runner = kind(
        model=model,
        work_dir=str(tmp_path),
        custom_hooks=hooks,
        experiment_name=f'{tmp_path.name}_{id(model)}',
        log_level='ERROR',
        cfg=Config(),
    )
    runner.load_checkpoint(str(path))

    return runner


def assert_parity(backbone):
    expected = torch.load(OFFICIAL / 'convnext_7.expected.pt')
    for ours, theirs in zip(backbone.eval()(expected['input']), expected['outs'], strict=True):
        assert (ours - theirs).abs().max() <= 1e-4 * theirs.abs().max()


@pytest.fixture
def weights():
    """A backbone's weights under the authors' names."""
    return unwrap(torch.load(OFFICIAL / 'convnext_7.pth', weights_only=False))


@pytest.fixture(params=['bare', 'model', 'state_dict', 'model_ema', 'module', 'with a classifier'])
def official(request, weights, tmp_path):
    head = {'norm.weight': torch.ones(32), 'head.weight': torch.ones(5, 32), 'head.bias': torch.ones(5)}
    if request.param == 'bare':
        checkpoint = weights
    elif request.param == 'module':
        checkpoint = {'state_dict': {f'module.{name}': weight for name, weight in weights.items()}}
    elif request.param == 'with a classifier':
        checkpoint = {'model': {**weights, **head}, 'epoch': 300}
    else:
        checkpoint = {request.param: weights, 'epoch': 300}

    torch.save(checkpoint, tmp_path / 'official.pth')
    return tmp_path / 'official.pth'


def test_an_official_checkpoint_goes_into_the_backbone(official, tmp_path):
    model = Segmentor()
    head = model.decode_head.weight.clone()
    load(model, official, tmp_path)
    assert_parity(model.backbone)
    assert torch.equal(model.decode_head.weight, head)


def test_also_inside_test_time_augmentation(official, tmp_path):
    model = Augmented(Segmentor())
    load(model, official, tmp_path, complete=True)
    assert_parity(model.module.backbone)


def test_a_whole_models_checkpoint_is_untouched(tmp_path):
    trained, model = Segmentor(), Segmentor()
    torch.save({'state_dict': trained.state_dict(), 'meta': {}}, tmp_path / 'whole.pth')
    load(model, tmp_path / 'whole.pth', tmp_path, complete=True)
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, trained.state_dict()[name]), name


def test_another_backbones_checkpoint_is_untouched(weights, tmp_path):
    model = Segmentor(nn.Conv2d(3, 32, 1))
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    torch.save({'model': weights}, tmp_path / 'official.pth')
    load(model, tmp_path / 'official.pth', tmp_path)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


@pytest.mark.parametrize(
    ('model', 'message'),
    [
        (Segmentor(ConvNeXt(arch=ARCH, kernel_sizes=(9, 9, 9, 9))), r'official\.pth.*does not fit.*kernel_sizes'),
        (Segmentor(SLaK(arch=ARCH)), r'official\.pth.*does not fit.*SLaK'),
    ],
    ids=['other kernels', 'another family'],
)
def test_the_runner_of_the_tools_names_a_checkpoint_that_does_not_fit(model, message, official, tmp_path):
    with pytest.raises(UserError, match=message) as error:
        load(model, official, tmp_path, ToolRunner)

    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    ('saved', 'message'),
    [
        (Segmentor(classes=5), r'decode_head\.weight is \(5, 32, 1, 1\) in the checkpoint and \(3, 32, 1, 1\)'),
        (
            nn.ModuleDict({'backbone': ConvNeXt(arch=ARCH), 'bbox_head': nn.Conv2d(32, 4, 1)}),
            r'decode_head\.weight is missing from the checkpoint',
        ),
    ],
    ids=['other classes', 'other head'],
)
def test_a_test_refuses_a_checkpoint_of_another_model(saved, message, tmp_path):
    torch.save({'state_dict': saved.state_dict()}, tmp_path / 'other.pth')
    # Fine-tuning may start from it.
    load(Segmentor(), tmp_path / 'other.pth', tmp_path, ToolRunner)
    with pytest.raises(UserError, match=message):
        load(Segmentor(), tmp_path / 'other.pth', tmp_path, ToolRunner, complete=True)


def test_a_test_refuses_a_backbone_for_one_that_is_not_ours(weights, tmp_path):
    torch.save({'model': weights}, tmp_path / 'official.pth')
    with pytest.raises(UserError, match=r'does not fit this Segmentor: backbone\.weight is missing'):
        load(Segmentor(nn.Conv2d(3, 32, 1)), tmp_path / 'official.pth', tmp_path, ToolRunner, complete=True)
