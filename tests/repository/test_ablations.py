"""The configs of the kernel experiments: each builds, has the kernels of its name, and differs in nothing else."""

import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from lkdense.config import read_config
from lkdense.layers.enlarge import EnlargedDepthwise, span

FOLDER = Path(__file__).parents[2] / 'configs/ablations'
NAMES = [path.stem for path in sorted(FOLDER.glob('*.py'))]
MOBILENET = 'deeplabv3plus_mobilenetv2{}_cityscapes'
# Name of a config: the sizes of its depthwise kernels with stride 1, by layer or stage, and of the ones beside them.
KERNELS = {
    MOBILENET.format(''): ([3] * 5 + [5, 5], None),
    MOBILENET.format('_no_shortcut'): ([3] * 5 + [5, 5], None),
    MOBILENET.format('_no_shortcut_k13'): ([13] * 7, None),
    **{MOBILENET.format(f'_k{k}'): ([k] * 7, None) for k in (9, 13)},
    **{MOBILENET.format(f'_k{k}_small'): ([k] * 7, 3) for k in (9, 13)},
    **{MOBILENET.format(f'_last_k{k}'): ([3] * 5 + [k] * 2, 3) for k in (7, 9, 13)},
    **{
        name.format(size): (kernels, small)
        for name in ('upernet_convnext_t_{}_ade20k', 'classifier_convnext_t_{}_in1k')
        for size, kernels, small in (
            ('k7', [7] * 4, None),
            ('k31', [31, 29, 27, 13], None),
            ('k31_small', [31, 29, 27, 13], 5),
        )
    },
}


@cache
def load(name):
    pytest.importorskip('mmdet.utils')
    return read_config(str(FOLDER / f'{name}.py'))


def build(cfg):
    with DefaultScope.overwrite_default_scope(cfg.default_scope), torch.device('meta'):
        return MODELS.build(cfg.model)


def test_every_config_is_known():
    assert set(KERNELS) == set(NAMES)


@pytest.mark.parametrize('name', NAMES)
def test_the_kernels_are_those_of_the_name(name):
    model = build(load(name))
    large, small = KERNELS[name]
    found = {'large': defaultdict(set), 'small': defaultdict(set)}
    for path, layer in model.backbone.named_modules():
        if isinstance(layer, nn.Conv2d) and layer.groups > 1 and layer.stride == (1, 1):
            part = re.match(r'layer\d|stages\.\d', path)[0]
            found['small' if '.small' in path else 'large'][part].add(span(layer)[0])
    # The first block of a layer is dilated, 5x5 in effect; plain ones follow it.
    assert [max(sizes) for sizes in found['large'].values()] == large
    assert set().union(*found['small'].values()) == ({small} if small else set())


@pytest.mark.parametrize('name', NAMES)
def test_it_differs_from_its_baseline_in_the_backbone_alone(name):
    variant, base = (r'_k31(_small)?_', '_k7_') if 'convnext' in name else (r'2_.*_', '2_')
    cfg, baseline = load(name), load(re.sub(variant, base, name))
    ours, theirs = (Config(part.to_dict()) for part in (cfg, baseline))
    ours.model.backbone = theirs.model.backbone = {}
    assert ours.to_dict() == theirs.to_dict()


@pytest.mark.parametrize('name', [name for name in NAMES if not name.startswith('classifier')])
def test_the_heads_fit(name):
    model = build(load(name)).eval()
    with torch.no_grad(), torch.device('meta'):
        scores = model(torch.empty(1, 3, 64, 128), mode='tensor')
        assert scores.shape[1] == (19 if 'cityscapes' in name else 150)
        assert model.auxiliary_head(model.backbone(torch.empty(1, 3, 64, 128))).shape[1] == scores.shape[1]


def test_strided_layers_are_left():
    backbone = build(load(MOBILENET.format('_k13'))).backbone
    strided = [m for m in backbone.modules() if isinstance(m, nn.Conv2d) and m.groups > 1 and m.stride == (2, 2)]
    assert len(strided) == 3 and {m.kernel_size for m in strided} == {(3, 3)}
    assert sum(isinstance(m, EnlargedDepthwise) for m in backbone.modules()) == 14


def test_shortcuts_are_where_the_name_says():
    for suffix in ('_no_shortcut', '_no_shortcut_k13'):
        blocks = build(load(MOBILENET.format(suffix))).backbone.modules()
        assert {block.use_res_connect for block in blocks if hasattr(block, 'use_res_connect')} == {False}
    blocks = build(load(MOBILENET.format('_k13'))).backbone.modules()
    assert sum(getattr(block, 'use_res_connect', False) for block in blocks) == 10
