"""A checkpoint tells by its entries and shapes alone what it is for, and converts to our names or not at all."""

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lkdense import ConvNeXt, RepLKNet, SLaK, UniRepLKNet
from lkdense.backbones.recognition import recognise, sparsity, summary
from lkdense.checkpoints.file import read
from lkdense.checkpoints.keys import rename, unwrap

ROOT = Path(__file__).parents[2]
OFFICIAL = Path(__file__).parents[1] / 'official'
KEYS = json.loads(gzip.decompress((OFFICIAL / 'checkpoint_keys.json.gz').read_bytes()))
FIXTURES = {
    'slak_51_decomposed': SLaK,
    'replknet_31_small5': RepLKNet,
    'convnext_7': ConvNeXt,
    'unireplknet_train': UniRepLKNet,
}
FAMILIES = {'slak': SLaK, 'replknet': RepLKNet, 'convnext': ConvNeXt, 'unireplknet': UniRepLKNet}
SMALL = dict(depths=(1, 1, 2, 1), dims=(8, 16, 24, 32))
KERNELS = (31, 29, 27, 13)
# what our own checkpoints may be of: trained, and merged
OURS = {
    'slak strips': (SLaK, dict(arch='pico', kernel_sizes=KERNELS)),
    'slak strips of three': (SLaK, dict(arch='pico', small_kernel=3)),
    'slak squares': (SLaK, dict(arch='pico', kernel_sizes=KERNELS, decompose=False)),
    'slak squares alone': (SLaK, dict(arch='pico', kernel_sizes=KERNELS, decompose=False, small_kernel=None)),
    'replknet': (RepLKNet, dict(arch='pico')),
    'replknet alone': (RepLKNet, dict(arch='pico', small_kernel=None, dw_ratio=1.5, norm_outputs=True)),
    'convnext': (ConvNeXt, dict(arch='pico', kernel_sizes=((7, 9), 7, 7, 5))),
    'convnext with small kernels': (ConvNeXt, dict(arch='pico', kernel_sizes=KERNELS, small_kernel=5)),
    'unireplknet': (UniRepLKNet, dict(arch='a')),
}


@pytest.mark.parametrize('name', FIXTURES)
def test_the_authors_checkpoints_are_recognised_and_give_the_same_numbers(name):
    found = recognise(read(OFFICIAL / f'{name}.pth'))
    assert found.family is FIXTURES[name]
    assert {key.split('.')[0] for key in found.ignored} == {'norm', 'head'}
    backbone = found.family(**found.arguments)
    backbone.load_state_dict(found.weights)
    expected = torch.load(OFFICIAL / f'{name}.expected.pt')
    for ours, theirs in zip(backbone.eval()(expected['input']), expected['outs'], strict=True):
        assert (ours - theirs).abs().max() <= 1e-4 * theirs.abs().max()
    assert found.backbone in summary(found)


@pytest.mark.parametrize('name', KEYS)
def test_family_and_arch_of_all_full_size_checkpoints(name):
    with torch.device('meta'):
        found = recognise({'model': {key: torch.empty(shape) for key, shape in KEYS[name].items()}})
    family, arch = name.split('_')
    assert found.family is FAMILIES[family]
    assert found.arguments['arch'] == arch


@pytest.mark.parametrize('name', OURS)
@pytest.mark.parametrize('deploy', [False, True], ids=['trained', 'merged'])
def test_our_own_checkpoints_are_recognised(name, deploy):
    family, arguments = OURS[name]
    with torch.device('meta'):
        found = recognise(family(**arguments, deploy=deploy).state_dict())
        rebuilt = found.family(**found.arguments)
    assert {key: value.shape for key, value in rebuilt.state_dict().items()} == {
        key: value.shape for key, value in family(**arguments, deploy=deploy).state_dict().items()
    }
    assert found.arguments['arch'] == arguments['arch'] or deploy


def merged_large_kernels(name: str) -> dict:
    """The form that RepLKNet's authors publish: only the large kernels are merged, with small ones and norms."""
    found = recognise(read(OFFICIAL / f'{name}.pth'))
    backbone = found.family(**found.arguments)
    backbone.load_state_dict(found.weights)
    official = unwrap(read(OFFICIAL / f'{name}.pth'))
    layers = dict(backbone.named_modules())
    weights = {key: value for key, value in official.items() if '.large_kernel.' not in key}

    for key in official:
        layer = key.split('.large_kernel.')[0]
        if layer != key:
            (ours,) = {
                place.split('.depthwise.')[0]
                for place in rename({f'{layer}.large_kernel.lkb_origin.x': 0}, found.family.KEY_MAP)
            }
            conv = layers[f'{ours}.depthwise'].merged()
            weights[f'{layer}.large_kernel.lkb_reparam.weight'] = conv.weight.detach()
            weights[f'{layer}.large_kernel.lkb_reparam.bias'] = conv.bias.detach()

    return weights


def test_large_kernels_that_the_authors_merged():
    weights = merged_large_kernels('replknet_31_small5')
    assert any('lkb_reparam' in key for key in weights)
    found = recognise({'state_dict': weights})
    assert found.family is RepLKNet
    assert found.arguments['small_kernel'] is None
    backbone = RepLKNet(**found.arguments)
    backbone.load_state_dict(weights)
    expected = torch.load(OFFICIAL / 'replknet_31_small5.expected.pt')

    for ours, theirs in zip(backbone.eval()(expected['input']), expected['outs'], strict=True):
        assert (ours - theirs).abs().max() <= 1e-4 * theirs.abs().max()

    backbone.switch_to_deploy()
    for ours, theirs in zip(backbone(expected['input']), expected['outs'], strict=True):
        assert (ours - theirs).abs().max() <= 1e-4 * theirs.abs().max()


def test_merged_large_kernels_do_not_fit_a_model_with_branches():
    with pytest.raises(ValueError, match=r'(?s)small\.conv\.weight is missing.*small_kernel=None'):
        RepLKNet(SMALL).load_state_dict(merged_large_kernels('replknet_31_small5'))


def test_a_square_kernel_of_slak_under_its_authors_names():
    arguments = dict(arch='pico', kernel_sizes=KERNELS, decompose=False)
    ours = SLaK(**arguments).state_dict()
    weights = {
        key.replace('.depthwise.large.', '.large_kernel.lkb_origin.')
        .replace('.depthwise.small.', '.large_kernel.small_conv.')
        .replace('large_kernel.lkb_origin.norm', 'large_kernel.lkb_origin.bn')
        .replace('large_kernel.small_conv.norm', 'large_kernel.small_conv.bn')
        .replace('.mlp.0.', '.pwconv1.')
        .replace('.mlp.2.', '.pwconv2.'): value
        for key, value in ours.items()
    }
    found = recognise({'model_ema': {f'module.{key}': value for key, value in weights.items()}, 'epoch': 299})
    assert found.family is SLaK
    assert found.arguments == dict(arguments, width_factor=1.3, small_kernel=5)
    torch.testing.assert_close(found.weights, dict(ours))


def test_sparse_weights_stay_sparse():
    weights = read(OFFICIAL / 'slak_51_decomposed.pth')['model']
    for value in weights.values():
        if value.dim() > 1:
            value *= torch.rand_like(value) > 0.4
    found = recognise(weights)
    assert 0.37 < sparsity(found.weights) < 0.43
    assert re.search(r'sparsity: +(3[7-9]|4[0-3])\.\d% zeros', summary(found))


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
    with pytest.raises(ValueError, match='not a checkpoint of ConvNeXt, SLaK, RepLKNet, UniRepLKNet'):
        recognise({'conv1.weight': torch.ones(64, 3, 7, 7), 'layer1.0.conv1.weight': torch.ones(64, 64, 1, 1)})


def run(*args) -> subprocess.CompletedProcess:
    command = [sys.executable, ROOT / 'tools/convert_checkpoint.py', *args]
    return subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_the_tool_writes_what_fits_the_line_that_it_prints(tmp_path, suffix):
    done = run(OFFICIAL / 'unireplknet_train.pth', tmp_path / f'ours{suffix}')
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith('backbone='))
    config = eval(line.removeprefix('backbone='), {'dict': dict})
    backbone = UniRepLKNet(**{key: value for key, value in config.items() if key != 'type'})
    backbone.load_state_dict(unwrap(read(tmp_path / f'ours{suffix}')))


def test_the_tool_keeps_heads_and_the_names_of_classes(tmp_path):
    backbone = {f'backbone.{key}': value for key, value in unwrap(read(OFFICIAL / 'convnext_7.pth')).items()}
    backbone = {
        key: value for key, value in backbone.items() if not key.startswith(('backbone.norm.', 'backbone.head.'))
    }
    head = {'decode_head.conv_seg.weight': torch.rand(2, 8, 1, 1)}
    meta = dict(CLASSES=('wall', 'tree'), PALETTE=[[0, 0, 0], [9, 9, 9]], config='print("not run")', epoch=12)
    torch.save(
        dict(meta=meta, state_dict=backbone | head, optimizer=dict(state={}, param_groups=[])), tmp_path / 'in.pth'
    )
    done = run(tmp_path / 'in.pth', tmp_path / 'out.pth')
    assert done.returncode == 0, done.stderr
    written = read(tmp_path / 'out.pth')
    assert written['meta']['dataset_meta'] == dict(classes=('wall', 'tree'), palette=[[0, 0, 0], [9, 9, 9]])
    assert torch.equal(written['state_dict']['decode_head.conv_seg.weight'], head['decode_head.conv_seg.weight'])
    assert 'backbone.stages.0.0.depthwise.weight' in written['state_dict']
    assert not any('pwconv' in key or 'downsample_layers' in key for key in written['state_dict'])


def test_the_tool_writes_nothing_that_it_cannot_explain(tmp_path):
    torch.save({'fc.weight': torch.ones(2, 2)}, tmp_path / 'in.pth')
    (tmp_path / 'out.pth').write_text('mine')
    done = run(tmp_path / 'in.pth', tmp_path / 'out.pth')
    assert done.returncode == 1
    assert re.match(
        r'convert_checkpoint\.py: .*in\.pth is not a checkpoint of .*; nothing was written$',
        done.stderr.splitlines()[-1],
    )
    assert (tmp_path / 'out.pth').read_text() == 'mine'
