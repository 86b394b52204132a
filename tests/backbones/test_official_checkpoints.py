"""The authors' checkpoints load as they are and give the authors' numbers; what does not fit is refused with advice."""

import gzip
import json
import re
from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS
from mmengine.runner.checkpoint import load_checkpoint

from lkdense.backbones import FAMILIES, ConvNeXt, SLaK, UniRepLKNet, families
from lkdense.checkpoints.keys import misfits, unwrap

OFFICIAL = Path(__file__).parents[1] / 'official'
SMALL = dict(depths=(1, 1, 2, 1), dims=(8, 16, 24, 32))
# Model, such as slak_tiny: the shapes of all entries of its checkpoint.
FULL_SIZE = json.loads(gzip.decompress((OFFICIAL / 'checkpoint_keys.json.gz').read_bytes()))


def full_size(model):
    """Return the class of a full-size model and its arch."""
    module, arch = model.split('_')

    return dict(zip(FAMILIES.values(), families()))[module], arch


def assert_parity(backbone, name):
    expected = torch.load(OFFICIAL / f'{name}.expected.pt')
    outputs = backbone.eval()(expected['input'])
    for ours, theirs in zip(outputs, expected['outs'], strict=True):
        assert (ours - theirs).abs().max() <= 1e-4 * theirs.abs().max()


def by_init_cfg(family, arguments, path):
    backbone = family(**arguments, init_cfg=dict(type='Pretrained', checkpoint=str(path)))
    backbone.init_weights()
    return backbone


def by_load_checkpoint(family, arguments, path):
    backbone = family(**arguments)
    load_checkpoint(backbone, str(path))
    return backbone


def by_load_state_dict(family, arguments, path):
    backbone = family(**arguments)
    backbone.load_state_dict(torch.load(path))
    return backbone


@pytest.mark.parametrize('load', [by_init_cfg, by_load_checkpoint, by_load_state_dict])
def test_outputs_are_the_authors(official, load):
    name, family, arguments = official
    assert_parity(load(family, arguments, OFFICIAL / f'{name}.pth'), name)


@pytest.mark.parametrize('wrapper', ['state_dict', 'model', 'model_ema', 'module.', 'backbone.'])
def test_wrappers_come_off(official, wrapper, tmp_path):
    name, family, arguments = official
    checkpoint = unwrap(torch.load(OFFICIAL / f'{name}.pth'))
    if wrapper.endswith('.'):
        checkpoint = {wrapper + key: value for key, value in checkpoint.items()}
    else:
        checkpoint = {wrapper: checkpoint, 'epoch': 3}
    if wrapper == 'backbone.':
        checkpoint['decode_head.conv_seg.weight'] = torch.zeros(1)

    torch.save(checkpoint, tmp_path / 'wrapped.pth')
    assert_parity(by_init_cfg(family, arguments, tmp_path / 'wrapped.pth'), name)


def test_model_is_preferred_to_its_average():
    assert unwrap({'model_ema': {'a': 1}, 'model': {'module.a': 2}}) == {'a': 2}


def test_our_own_checkpoints_load_into_the_backbone_of_a_model(official):
    name, family, arguments = official
    ours = by_init_cfg(family, arguments, OFFICIAL / f'{name}.pth').state_dict()

    model = torch.nn.ModuleDict(dict(backbone=family(**arguments)))
    model.load_state_dict({f'backbone.{key}': value for key, value in ours.items()})
    assert_parity(model['backbone'], name)


def test_slak_knows_both_names_of_its_strips():
    weights = torch.load(OFFICIAL / 'slak_51_decomposed.pth')['model']
    other = {}
    for key, value in weights.items():
        swapped = key.replace('LoRA', 'Decom') if 'LoRA' in key else key.replace('Decom', 'LoRA')
        other[swapped] = value
    assert set(other) != set(weights)

    backbone = SLaK(arch=SMALL)
    backbone.load_state_dict(other)
    assert_parity(backbone, 'slak_51_decomposed')


def test_unireplknet_takes_the_merged_form_of_its_authors():
    name = 'unireplknet_train'
    arguments = dict(
        arch=dict(depths=(2, 2, 3, 2), dims=SMALL['dims']), kernel_sizes=((3, 3), (13, 13), (13, 3, 13), (13, 13))
    )
    merged = by_init_cfg(UniRepLKNet, arguments, OFFICIAL / f'{name}.pth').eval()
    merged.switch_to_deploy()
    assert_parity(merged, name)

    weights = authors_merged_form(merged)
    backbone = UniRepLKNet(**arguments, deploy=True)
    backbone.load_state_dict(weights)
    assert_parity(backbone, name)

    with pytest.raises(ValueError, match=r'(?s)does not fit.*deploy=True'):
        UniRepLKNet(**arguments).load_state_dict(weights)
    assert UniRepLKNet.arguments_of(merged.state_dict()) == dict(arguments, deploy=True)


def authors_merged_form(merged):
    """Return the weights of a merged UniRepLKNet under the names that its authors give a merged one."""
    renamed = {}
    for name, weight in merged.state_dict().items():
        large = '.depthwise.' in name and merged.get_parameter(name.replace('.bias', '.weight')).shape[-1] > 3
        for ours, theirs in (
            (r'^stem\.', 'downsample_layers.0.'),
            (r'^downsamples\.0\.', 'downsample_layers.1.'),
            (r'^downsamples\.1\.', 'downsample_layers.2.'),
            (r'^downsamples\.2\.', 'downsample_layers.3.'),
            (r'\.expand\.', '.pwconv1.1.'),
            (r'\.project\.linear\.', '.pwconv2.0.'),
            (r'\.project\.', '.act.1.'),
            (r'\.depthwise\.', '.dwconv.lk_origin.' if large else '.dwconv.'),
        ):
            name = re.sub(ours, theirs, name)

        renamed[name] = weight

    return renamed


@pytest.mark.parametrize('model', FULL_SIZE)
def test_every_entry_of_the_full_size_checkpoints_has_its_place(model):
    keys = FULL_SIZE[model]
    family, arch = full_size(model)
    with torch.device('meta'):
        weights = {key: torch.empty(shape) for key, shape in keys.items()}
        backbone = family(arch=arch)

    # It raises on entries that are missing, left over or of another shape.
    backbone.load_state_dict(weights, assign=True)
    parts = {key.split('.')[0] for key in keys}
    assert parts - {'stem', 'downsample_layers', 'transitions', 'stages'} == {'norm', 'head'}


@pytest.mark.parametrize('model', FULL_SIZE)
def test_the_arguments_can_be_read_off_a_checkpoint(model):
    family, arch = full_size(model)
    with torch.device('meta'):
        weights = family(arch=arch).state_dict()
        guess = family.arguments_of(weights)
        rebuilt = family(**guess).state_dict()

    assert guess['arch'] == arch
    assert not misfits(rebuilt, weights)


def test_wrong_kernels_are_named_with_the_ones_that_fit():
    backbone = SLaK(arch=SMALL, kernel_sizes=(31, 29, 27, 13))
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    with pytest.raises(ValueError) as error:
        backbone.load_state_dict(torch.load(OFFICIAL / 'slak_51_decomposed.pth'))

    message = str(error.value)
    assert 'vertical.conv.weight is (10, 1, 51, 5) in the checkpoint and (10, 1, 31, 5) in the model' in message
    assert 'kernel_sizes=(51, 49, 47, 13), small_kernel=5, decompose=True' in message
    torch.testing.assert_close(dict(backbone.state_dict()), before)


def test_the_advice_of_the_error_works(official):
    name, family, _ = official
    path = OFFICIAL / f'{name}.pth'
    with pytest.raises(ValueError, match='does not fit') as error:
        by_init_cfg(family, dict(arch='a' if family is UniRepLKNet else 'pico'), path)

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


def test_a_foreign_checkpoint_is_refused(official, tmp_path):
    _, family, arguments = official
    torch.save(torch.nn.Conv2d(3, 4, 3).state_dict(), tmp_path / 'foreign.pth')
    with pytest.raises(ValueError, match='does not look like a checkpoint of'):
        by_init_cfg(family, arguments, tmp_path / 'foreign.pth')
