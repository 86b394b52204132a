"""What every backbone owes, whatever its architecture."""

import math
from itertools import pairwise

import pytest
import torch
from mmengine.registry import MODELS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from lkdense.backbones import FAMILIES, ConvNeXt, RepLKNet, SLaK, families


@pytest.mark.parametrize('size', [(64, 96), (75, 101)], ids=str)
def test_strides_and_widths(make, size):
    backbone = make().eval()
    outputs = backbone(torch.randn(1, 3, *size))
    assert tuple(output.shape[1] for output in outputs) == backbone.out_channels

    for stage, output in enumerate(outputs):
        for side, pixels in zip(output.shape[2:], size):
            assert abs(side - pixels / (4 * 2**stage)) < 1


def test_out_indices_choose(make):
    backbone = make().eval()
    part = make(out_indices=(1, 3)).eval()
    part.load_state_dict(backbone.state_dict())

    image = torch.randn(1, 3, 64, 64)
    whole = backbone(image)
    for ours, expected in zip(part(image), (whole[1], whole[3]), strict=True):
        torch.testing.assert_close(ours, expected)
    assert part.out_channels == (backbone.out_channels[1], backbone.out_channels[3])


def test_every_parameter_gets_a_gradient(make):
    for out_indices in ((0, 1, 2, 3), (0, 1)):
        backbone = make(out_indices=out_indices).train()
        loss_of(backbone(torch.randn(2, 3, 64, 64))).backward()

        for name, parameter in backbone.named_parameters():
            assert not parameter.requires_grad or parameter.grad.abs().sum() > 0, name
        assert all(p.requires_grad for p in backbone.parameters()) == (out_indices == (0, 1, 2, 3))


def loss_of(outputs):
    return sum(output.square().mean() for output in outputs)


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last], ids=str)
def test_outputs_lie_in_memory_as_operators_of_detectors_read_them(make, layout):
    roi_align = pytest.importorskip('mmcv.ops').roi_align
    image = torch.randn(1, 3, 64, 64).contiguous(memory_format=layout)
    box = torch.tensor([[0, 1.0, 1.0, 9.0, 12.0]])

    for stage in make().eval()(image):
        ordinary = stage.clone(memory_format=torch.contiguous_format)
        torch.testing.assert_close(roi_align(stage, box, (3, 3)), roi_align(ordinary, box, (3, 3)))


@pytest.mark.parametrize(
    'wrong', [dict(out_indices=()), dict(out_indices=(0, 4)), dict(out_indices=(3, 0)), dict(frozen_stages=5)], ids=str
)
def test_indices_out_of_range_are_refused(make, wrong):
    with pytest.raises(ValueError, match=f'{next(iter(wrong))} must be'):
        make(**wrong)


def test_frozen_stages_stay_as_they_are(make):
    backbone = make(frozen_stages=2).train()
    frozen = [backbone.stem, backbone.downsamples[0], *backbone.stages[:2]]
    assert not any(p.requires_grad for module in frozen for p in module.parameters())
    assert not any(module.training for part in frozen for module in part.modules())
    assert all(p.requires_grad for p in (*backbone.downsamples[1].parameters(), *backbone.stages[2].parameters()))

    before = {key: value.clone() for key, value in backbone.stem.state_dict().items()}
    loss_of(backbone(torch.randn(2, 3, 64, 64))).backward()
    for key, value in backbone.stem.state_dict().items():
        torch.testing.assert_close(value, before[key])


def test_checkpointing_changes_nothing_but_memory(make):
    image = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    results = []
    weights = make().state_dict()

    for with_cp in (False, True):
        backbone = make(with_cp=with_cp, drop_path_rate=0.3).double().train()
        backbone.load_state_dict(weights)
        torch.manual_seed(1)
        outputs = backbone(image)
        loss_of(outputs).backward()
        results.append((outputs, [p.grad for p in backbone.parameters()], list(backbone.buffers())))

    torch.testing.assert_close(*results)


def test_deployed_backbone_gives_the_same_numbers(make, randomize_norms):
    backbone = randomize_norms(make()).double().eval()
    image = torch.randn(1, 3, 64, 80, dtype=torch.float64)
    before = backbone(image)
    backbone.switch_to_deploy()
    names = list(backbone.state_dict())

    for ours, expected in zip(backbone(image), before, strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-10 * expected.abs().max().item())

    leaves = [module for module in backbone.modules() if not list(module.children())]
    for conv, follower in pairwise(leaves):
        mergeable = isinstance(conv, nn.Conv2d) and conv.bias is None and isinstance(follower, _BatchNorm)
        assert not mergeable

    backbone.switch_to_deploy()
    assert list(backbone.state_dict()) == names


def test_layer_depth_grows(make):
    backbone = make()
    parts = [backbone.stem, backbone.stages[0]]
    for downsample, stage in zip(backbone.downsamples, backbone.stages[1:]):
        parts += [downsample, stage]

    names = {id(parameter): name for name, parameter in backbone.named_parameters(prefix='backbone')}
    depths, totals = [], set()
    for part in parts:
        for parameter in part.parameters():
            depth, total = backbone.get_layer_depth(names[id(parameter)])
            depths.append(depth)
            totals.add(total)

    last = math.ceil(len(backbone.stages[2]) / 3) + 4
    assert depths == sorted(depths)
    assert set(depths) == set(range(last)) and totals == {last + 1}
    assert backbone.get_layer_depth('decode_head.conv_seg.weight') == (last, last + 1)
    assert backbone.get_layer_depth('backbone.norm0.weight') == (last, last + 1)
    assert backbone.get_stage('backbone.norm0.weight') is None
    assert backbone.get_stage('backbone.downsamples.2.1.weight') == 0
    assert backbone.get_stage('stages.3.0.gamma', prefix='') == 4


def test_half_precision_and_empty_batch(make):
    backbone = make().eval()
    assert all(y.dtype == torch.bfloat16 for y in backbone.bfloat16()(torch.randn(1, 3, 64, 64).bfloat16()))
    assert [y.shape[0] for y in backbone(torch.randn(0, 3, 64, 64).bfloat16())] == [0, 0, 0, 0]


@pytest.mark.parametrize('family', families(), ids=FAMILIES)
def test_bad_arguments_are_refused(family):
    with pytest.raises(ValueError, match=r"arch must be one of .*got 'huge'"):
        family(arch='huge')
    with pytest.raises(ValueError, match='four of each'):
        family(arch=dict(depths=(1, 1, 1), dims=(8, 8, 8, 8)))
    with pytest.raises(ValueError, match='kernel_sizes must have four entries'):
        family(kernel_sizes=(7, 7, 7))


@pytest.mark.parametrize('family', [SLaK, RepLKNet, ConvNeXt])
def test_even_kernels_are_refused(family):
    with pytest.raises(ValueError, match=r'odd int or a .* got 12'):
        family(arch='pico', kernel_sizes=(7, 7, 12, 7), small_kernel=3)


@pytest.mark.parametrize('name', ['SLaK', 'lkdense.SLaK'])
def test_is_found_by_its_name(name):
    assert isinstance(MODELS.build(dict(type=name, arch='pico')), SLaK)


# Millions of parameters, dense, with a classifier of 1000 classes and the norm before it.
PARAMETERS = [
    (SLaK, 'tiny', 50.70),
    (SLaK, 'small', 91.13),
    (SLaK, 'base', 157.95),
    (RepLKNet, '31b', 79.86),
    (RepLKNet, '31l', 172.67),
    (RepLKNet, 'xl', 335.44),
    (ConvNeXt, 'tiny', 28.59),
    (ConvNeXt, 'small', 50.22),
    (ConvNeXt, 'base', 88.59),
    (ConvNeXt, 'large', 197.77),
    (ConvNeXt, 'xlarge', 350.20),
]


@pytest.mark.parametrize(('cls', 'arch', 'millions'), PARAMETERS)
def test_parameter_counts_are_the_published_ones(cls, arch, millions):
    with torch.device('meta'):
        backbone = cls(arch)

    body = sum(p.numel() for name, p in backbone.named_parameters() if not name.startswith('norm'))
    width = backbone.out_channels[-1]
    assert (body + 2 * width + 1000 * width + 1000) / 1e6 == pytest.approx(millions, abs=0.005)


@pytest.mark.parametrize('cls', [SLaK, ConvNeXt])
def test_weights_start_as_the_authors_draw_them(cls):
    backbone = cls('pico')
    layers = [module for module in backbone.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    large = [layer for layer in layers if layer.weight.numel() > 5000]
    assert len(large) > 20

    for layer in large:
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert all((layer.bias == 0).all() for layer in layers if layer.bias is not None)
    assert (backbone.stages[0][0].gamma == 1).all()
