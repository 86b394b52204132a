"""The authors' checkpoints load as they are and give the authors' numbers; what does not fit is refused with advice."""

import gzip
import json
import re
from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS
from mmengine.runner.checkpoint import load_checkpoint

from lkdense.backbones import ConvNeXt, RepLKNet, SLaK, UniRepLKNet
from lkdense.checkpoints.keys import misfits, unwrap

OFFICIAL = Path(__file__).parents[1] / 'official'
SMALL = dict(depths=(1, 1, 2, 1), dims=(8, 16, 24, 32))
UNI = dict(depths=(2, 2, 3, 2), dims=(8, 16, 24, 32))
UNI_KERNELS = ((3, 3), (13, 13), (13, 3, 13), (13, 13))
FIXTURES = {
    'slak_51_decomposed': (SLaK, dict(arch=SMALL)),
    'replknet_31_small5': (RepLKNet, dict(arch=SMALL)),
    'convnext_7': (ConvNeXt, dict(arch=SMALL)),
    'unireplknet_train': (UniRepLKNet, dict(arch=UNI, kernel_sizes=UNI_KERNELS)),
}
FULL_SIZE = {
    'slak_tiny': (SLaK, dict(arch='tiny')),
    'slak_small': (SLaK, dict(arch='small')),
    'slak_base': (SLaK, dict(arch='base')),
    'replknet_31b': (RepLKNet, dict(arch='31b')),
    'replknet_31l': (RepLKNet, dict(arch='31l')),
    'replknet_xl': (RepLKNet, dict(arch='xl')),
    'convnext_tiny': (ConvNeXt, dict(arch='tiny')),
    'convnext_small': (ConvNeXt, dict(arch='small')),
    'convnext_base': (ConvNeXt, dict(arch='base')),
    'convnext_large': (ConvNeXt, dict(arch='large')),
    'convnext_xlarge': (ConvNeXt, dict(arch='xlarge')),
    **{
        f'unireplknet_{size}': (UniRepLKNet, dict(arch=size)) for size in ('a', 'f', 'p', 'n', 't', 's', 'b', 'l', 'xl')
    },
}


@pytest.fixture(params=FIXTURES, ids=str)
def name(request):
    return request.param


def build(name):
    cls, arguments = FIXTURES[name]
    return cls(**arguments)


def assert_parity(backbone, name):
    expected = torch.load(OFFICIAL / f'{name}.expected.pt')
    outputs = backbone.eval()(expected['input'])
    for ours, theirs in zip(outputs, expected['outs'], strict=True):
        assert (ours - theirs).abs().max() <= 1e-4 * theirs.abs().max()


def by_init_cfg(name, path):
    cls, arguments = FIXTURES[name]
    backbone = cls(**arguments, init_cfg=dict(type='Pretrained', checkpoint=str(path)))
    backbone.init_weights()
    return backbone


def by_load_checkpoint(name, path):
    backbone = build(name)
    load_checkpoint(backbone, str(path))
    return backbone


def by_load_state_dict(name, path):
    backbone = build(name)
    backbone.load_state_dict(torch.load(path))
    return backbone


@pytest.mark.parametrize('load', [by_init_cfg, by_load_checkpoint, by_load_state_dict])
def test_outputs_are_the_authors(name, load):
    assert_parity(load(name, OFFICIAL / f'{name}.pth'), name)


@pytest.mark.parametrize('wrapper', ['state_dict', 'model', 'model_ema', 'module.', 'backbone.'])
def test_wrappers_come_off(name, wrapper, tmp_path):
    weights = unwrap(torch.load(OFFICIAL / f'{name}.pth'))
    if wrapper.endswith('.'):
        weights = {wrapper + key: value for key, value in weights.items()}
        wrapped = dict(weights, **{'decode_head.conv_seg.weight': torch.zeros(1)} if wrapper == 'backbone.' else {})
    else:
        wrapped = {wrapper: weights, 'epoch': 3}
    torch.save(wrapped, tmp_path / 'wrapped.pth')
    assert_parity(by_init_cfg(name, tmp_path / 'wrapped.pth'), name)


def test_model_is_preferred_to_its_average():
    assert unwrap({'model_ema': {'a': 1}, 'model': {'module.a': 2}}) == {'a': 2}


def test_our_own_checkpoints_load_into_the_backbone_of_a_model(name):
    model = torch.nn.ModuleDict(dict(backbone=build(name)))
    model.load_state_dict(
        {f'backbone.{key}': value for key, value in by_init_cfg(name, OFFICIAL / f'{name}.pth').state_dict().items()}
    )
    assert_parity(model['backbone'], name)


def test_slak_knows_both_names_of_its_strips():
    weights = torch.load(OFFICIAL / 'slak_51_decomposed.pth')['model']
    other = {}
    for key, value in weights.items():
        swapped = key.replace('LoRA', 'Decom') if 'LoRA' in key else key.replace('Decom', 'LoRA')
        other[swapped] = value
    assert set(other) != set(weights)
    backbone = build('slak_51_decomposed')
    backbone.load_state_dict(other)
    assert_parity(backbone, 'slak_51_decomposed')


def test_unireplknet_takes_the_merged_form_of_its_authors():
    name = 'unireplknet_train'
    merged = by_init_cfg(name, OFFICIAL / f'{name}.pth').eval()
    merged.switch_to_deploy()
    assert_parity(merged, name)
    weights = {}

    for key, value in merged.state_dict().items():
        for ours, theirs in (
            (r'^stem\.', 'downsample_layers.0.'),
            (r'^downsamples\.0\.', 'downsample_layers.1.'),
            (r'^downsamples\.1\.', 'downsample_layers.2.'),
            (r'^downsamples\.2\.', 'downsample_layers.3.'),
            (r'\.expand\.', '.pwconv1.1.'),
            (r'\.project\.linear\.', '.pwconv2.0.'),
            (r'\.project\.', '.act.1.'),
            (r'\.depthwise\.', '.dwconv.lk_origin.' if large_kernel(merged, key) else '.dwconv.'),
        ):
            key = re.sub(ours, theirs, key)

        weights[key] = value

    cls, arguments = FIXTURES[name]
    backbone = cls(**arguments, deploy=True)
    backbone.load_state_dict(weights)
    assert_parity(backbone, name)

    with pytest.raises(ValueError, match=r'deploy=True') as error:
        cls(**arguments).load_state_dict(weights)

    assert 'does not fit' in str(error.value)
    assert cls.arguments_of(merged.state_dict()) == dict(arguments, deploy=True)


def large_kernel(backbone, key):
    if '.depthwise.' not in key:
        return False
    return backbone.get_parameter(key.replace('.bias', '.weight')).shape[-1] > 3


@pytest.mark.parametrize('model', FULL_SIZE)
def test_every_entry_of_the_full_size_checkpoints_has_its_place(model):
    keys = json.loads(gzip.decompress((OFFICIAL / 'checkpoint_keys.json.gz').read_bytes()))[model]
    cls, arguments = FULL_SIZE[model]
    with torch.device('meta'):
        weights = {key: torch.empty(shape) for key, shape in keys.items()}
        backbone = cls(**arguments)

    backbone.load_state_dict(weights, assign=True)  # raises on anything missing, left over or of another shape
    assert {key.split('.')[0] for key in keys} - {'stem', 'downsample_layers', 'transitions', 'stages'} == {
        'norm',
        'head',
    }


@pytest.mark.parametrize('model', FULL_SIZE)
def test_the_arguments_can_be_read_off_a_checkpoint(model):
    cls, arguments = FULL_SIZE[model]
    with torch.device('meta'):
        guess = cls.arguments_of(cls(**arguments).state_dict())
        assert guess['arch'] == arguments['arch']
        assert not misfits(cls(**guess).state_dict(), cls(**arguments).state_dict())


def test_wrong_kernels_are_named_with_the_ones_that_fit():
    backbone = SLaK(arch=SMALL, kernel_sizes=(31, 29, 27, 13))
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    with pytest.raises(ValueError) as error:
        backbone.load_state_dict(torch.load(OFFICIAL / 'slak_51_decomposed.pth'))
    message = str(error.value)
    assert 'vertical.conv.weight is (10, 1, 51, 5) in the checkpoint and (10, 1, 31, 5) in the model' in message
    assert 'kernel_sizes=(51, 49, 47, 13), small_kernel=5, decompose=True' in message
    torch.testing.assert_close(dict(backbone.state_dict()), before)


def test_the_advice_of_the_error_works(name):
    cls, _ = FIXTURES[name]
    path = OFFICIAL / f'{name}.pth'
    with pytest.raises(ValueError, match='does not fit') as error:
        cls(
            arch='a' if cls is UniRepLKNet else 'pico', init_cfg=dict(type='Pretrained', checkpoint=str(path))
        ).init_weights()

    advice = str(error.value).split('backbone=')[1]
    backbone = MODELS.build(eval(advice, {'dict': dict}))
    backbone.load_state_dict(torch.load(path))
    assert_parity(backbone, name)


def test_a_shallower_checkpoint_of_the_same_widths_is_refused():
    with pytest.raises(ValueError, match=r'(?s)missing from the checkpoint.*depths'):
        ConvNeXt(arch=dict(SMALL, depths=(1, 1, 3, 1))).load_state_dict(torch.load(OFFICIAL / 'convnext_7.pth'))


def test_a_deeper_checkpoint_is_refused():
    with pytest.raises(ValueError, match='has no place in the model'):
        ConvNeXt(arch=dict(SMALL, depths=(1, 1, 1, 1))).load_state_dict(torch.load(OFFICIAL / 'convnext_7.pth'))


def test_a_foreign_checkpoint_is_refused(name, tmp_path):
    torch.save(torch.nn.Conv2d(3, 4, 3).state_dict(), tmp_path / 'foreign.pth')
    with pytest.raises(ValueError, match='does not look like a checkpoint of'):
        by_init_cfg(name, tmp_path / 'foreign.pth')
