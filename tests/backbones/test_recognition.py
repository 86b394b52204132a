"""A checkpoint tells by its entries and shapes alone what it is for, and converts to our names or not at all."""

import gzip
import json
import re
from pathlib import Path

import pytest
import torch

from lkdense import ConvNeXt, RepLKNet, SLaK, UniRepLKNet
from lkdense.backbones import FAMILIES, families
from lkdense.backbones.recognition import recognise, sparsity, summary
from lkdense.checkpoints.file import read
from lkdense.checkpoints.keys import rename, unwrap
from lkdense.commands import main

OFFICIAL = Path(__file__).parents[1] / 'official'
KEYS = json.loads(gzip.decompress((OFFICIAL / 'checkpoint_keys.json.gz').read_bytes()))
SMALL = dict(depths=(1, 1, 2, 1), dims=(8, 16, 24, 32))
KERNELS = (31, 29, 27, 13)
# Models of a named size, which has to be recognised together with the kernels.
NAMED = {
    'slak strips': (SLaK, dict(arch='pico', kernel_sizes=KERNELS)),
    'slak strips of three': (SLaK, dict(arch='pico', small_kernel=3)),
    'slak squares': (SLaK, dict(arch='pico', kernel_sizes=KERNELS, decompose=False)),
    'slak squares alone': (SLaK, dict(arch='pico', kernel_sizes=KERNELS, decompose=False, small_kernel=None)),
    'slak without scale': (SLaK, dict(arch='pico', layer_scale_init_value=0)),
    'replknet': (RepLKNet, dict(arch='pico')),
    'replknet alone': (RepLKNet, dict(arch='pico', small_kernel=None, dw_ratio=1.5, norm_outputs=True)),
    'convnext': (ConvNeXt, dict(arch='pico', kernel_sizes=((7, 9), 7, 7, 5))),
    'convnext with small kernels': (ConvNeXt, dict(arch='pico', kernel_sizes=KERNELS, small_kernel=5)),
    'unireplknet': (UniRepLKNet, dict(arch='a')),
}


def assert_parity(backbone, name):
    expected = torch.load(OFFICIAL / f'{name}.expected.pt')
    for ours, theirs in zip(backbone.eval()(expected['input']), expected['outs'], strict=True):
        assert (ours - theirs).abs().max() <= 1e-4 * theirs.abs().max()


def shapes(weights):
    return {key: value.shape for key, value in weights.items()}


def test_the_authors_checkpoints_are_recognised_and_give_the_same_numbers(official):
    name, family, _ = official
    checkpoint = recognise(read(OFFICIAL / f'{name}.pth'))
    assert checkpoint.family is family
    assert {key.split('.')[0] for key in checkpoint.ignored} == {'norm', 'head'}
    assert checkpoint.backbone in summary(checkpoint)

    backbone = family(**checkpoint.arguments)
    backbone.load_state_dict(checkpoint.weights)
    assert_parity(backbone, name)


@pytest.mark.parametrize('name', KEYS)
def test_family_and_arch_of_all_full_size_checkpoints(name):
    with torch.device('meta'):
        checkpoint = recognise({'model': {key: torch.empty(shape) for key, shape in KEYS[name].items()}})

    module, arch = name.split('_')
    assert checkpoint.family is dict(zip(FAMILIES.values(), families()))[module]
    assert checkpoint.arguments['arch'] == arch


@pytest.mark.parametrize('deploy', [False, True], ids=['trained', 'merged'])
def test_our_own_checkpoints_are_recognised(variant, deploy):
    family, arguments = variant
    with torch.device('meta'):
        weights = family(**arguments, deploy=deploy).state_dict()
        checkpoint = recognise(weights)
        rebuilt = checkpoint.family(**checkpoint.arguments)

    assert shapes(rebuilt.state_dict()) == shapes(weights)


@pytest.mark.parametrize('name', NAMED)
@pytest.mark.parametrize('deploy', [False, True], ids=['trained', 'merged'])
def test_sizes_and_kernels_are_recognised(name, deploy):
    family, arguments = NAMED[name]
    with torch.device('meta'):
        weights = family(**arguments, deploy=deploy).state_dict()
        checkpoint = recognise(weights)
        rebuilt = checkpoint.family(**checkpoint.arguments)

    assert shapes(rebuilt.state_dict()) == shapes(weights)
    assert checkpoint.arguments['arch'] == arguments['arch'] or deploy


def merged_large_kernels(name: str) -> dict:
    """The form that RepLKNet's authors publish: only the large kernels are merged, with small ones and norms."""
    checkpoint = recognise(read(OFFICIAL / f'{name}.pth'))
    backbone = checkpoint.family(**checkpoint.arguments)
    backbone.load_state_dict(checkpoint.weights)
    layers = dict(backbone.named_modules())

    official = unwrap(read(OFFICIAL / f'{name}.pth'))
    weights = {key: value for key, value in official.items() if '.large_kernel.' not in key}
    blocks = {key.split('.large_kernel.')[0] for key in official if '.large_kernel.' in key}

    for block in blocks:
        (ours,) = rename({f'{block}.large_kernel.lkb_origin.x': 0}, checkpoint.family.KEY_MAP)
        conv = layers[ours.removesuffix('.large.x')].merged()
        weights[f'{block}.large_kernel.lkb_reparam.weight'] = conv.weight.detach()
        weights[f'{block}.large_kernel.lkb_reparam.bias'] = conv.bias.detach()

    return weights


def test_large_kernels_that_the_authors_merged():
    weights = merged_large_kernels('replknet_31_small5')
    assert any('lkb_reparam' in key for key in weights)
    checkpoint = recognise({'state_dict': weights})
    assert checkpoint.family is RepLKNet
    assert checkpoint.arguments['small_kernel'] is None

    backbone = RepLKNet(**checkpoint.arguments)
    backbone.load_state_dict(weights)
    assert_parity(backbone, 'replknet_31_small5')
    backbone.switch_to_deploy()
    assert_parity(backbone, 'replknet_31_small5')


def test_merged_large_kernels_do_not_fit_a_model_with_branches():
    with pytest.raises(ValueError, match=r'(?s)small\.conv\.weight is missing.*small_kernel=None'):
        RepLKNet(SMALL).load_state_dict(merged_large_kernels('replknet_31_small5'))


def test_a_square_kernel_of_slak_under_its_authors_names():
    arguments = dict(arch='pico', kernel_sizes=KERNELS, decompose=False)
    ours = SLaK(**arguments).state_dict()

    weights = {}
    for name, value in ours.items():
        for mine, theirs in (
            ('.depthwise.large.norm', '.large_kernel.lkb_origin.bn'),
            ('.depthwise.large.', '.large_kernel.lkb_origin.'),
            ('.depthwise.small.norm', '.large_kernel.small_conv.bn'),
            ('.depthwise.small.', '.large_kernel.small_conv.'),
            ('.mlp.0.', '.pwconv1.'),
            ('.mlp.2.', '.pwconv2.'),
        ):
            name = name.replace(mine, theirs)
        weights[f'module.{name}'] = value

    checkpoint = recognise({'model_ema': weights, 'epoch': 299})
    assert checkpoint.family is SLaK
    assert checkpoint.arguments == dict(arguments, width_factor=1.3, small_kernel=5)
    torch.testing.assert_close(checkpoint.weights, dict(ours))


def test_sparse_weights_stay_sparse():
    weights = read(OFFICIAL / 'slak_51_decomposed.pth')['model']
    for value in weights.values():
        if value.dim() > 1:
            value *= torch.rand_like(value) > 0.4

    checkpoint = recognise(weights)
    assert 0.37 < sparsity(checkpoint.weights) < 0.43
    assert re.search(r'sparsity: +(3[7-9]|4[0-3])\.\d% zeros', summary(checkpoint))


def test_entries_that_nobody_knows_are_named():
    weights = unwrap(read(OFFICIAL / 'convnext_7.pth'))
    weights['stages.0.0.attention.weight'] = torch.ones(3)
    with pytest.raises(
        ValueError, match=r'nearest to ConvNeXt, but stages\.0\.0\.attention\.weight of the checkpoint has'
    ):
        recognise(weights)


def test_a_missing_entry_is_named():
    weights = unwrap(read(OFFICIAL / 'convnext_7.pth'))
    del weights['stages.2.1.pwconv1.bias']
    with pytest.raises(ValueError, match=r'nearest to ConvNeXt, but stages\.2\.1\.mlp\.0\.bias is missing'):
        recognise(weights)


def test_a_foreign_checkpoint_is_refused():
    with pytest.raises(ValueError, match=f'not a checkpoint of {", ".join(FAMILIES)}, neither'):
        recognise({'conv1.weight': torch.ones(64, 3, 7, 7), 'layer1.0.conv1.weight': torch.ones(64, 64, 1, 1)})


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_convert_writes_what_fits_the_line_that_it_prints(tmp_path, suffix, capsys):
    target = tmp_path / f'ours{suffix}'
    main(['convert', str(OFFICIAL / 'unireplknet_train.pth'), str(target)])

    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith('backbone='))
    config = eval(line.removeprefix('backbone='), {'dict': dict})
    assert config.pop('type') == 'UniRepLKNet'
    UniRepLKNet(**config).load_state_dict(unwrap(read(target)))


def test_convert_keeps_heads_and_the_names_of_classes(tmp_path):
    weights = {'decode_head.conv_seg.weight': torch.rand(2, 8, 1, 1)}
    for key, value in unwrap(read(OFFICIAL / 'convnext_7.pth')).items():
        if not key.startswith(('norm.', 'head.')):
            weights[f'backbone.{key}'] = value

    meta = dict(CLASSES=('wall', 'tree'), PALETTE=[[0, 0, 0], [9, 9, 9]], config='print("not run")', epoch=12)
    optimizer = dict(state={}, param_groups=[])
    torch.save(dict(meta=meta, state_dict=weights, optimizer=optimizer), tmp_path / 'in.pth')
    main(['convert', str(tmp_path / 'in.pth'), str(tmp_path / 'out.pth')])

    converted = read(tmp_path / 'out.pth')
    assert converted['meta']['dataset_meta'] == dict(classes=('wall', 'tree'), palette=[[0, 0, 0], [9, 9, 9]])
    names = converted['state_dict'].keys()
    assert 'backbone.stages.0.0.depthwise.weight' in names
    assert not any('pwconv' in name or 'downsample_layers' in name for name in names)
    head = 'decode_head.conv_seg.weight'
    assert torch.equal(converted['state_dict'][head], weights[head])


def test_convert_writes_nothing_that_it_cannot_explain(tmp_path, capsys):
    torch.save({'fc.weight': torch.ones(2, 2)}, tmp_path / 'in.pth')
    (tmp_path / 'out.pth').write_text('mine')
    with pytest.raises(SystemExit) as stop:
        main(['convert', str(tmp_path / 'in.pth'), str(tmp_path / 'out.pth')])

    message = f'{stop.value}\n{capsys.readouterr().err}'
    assert re.search(r'convert: .*in\.pth is not a checkpoint of .*; nothing was written', message)
    assert stop.value.code not in (0, None)
    assert (tmp_path / 'out.pth').read_text() == 'mine'
