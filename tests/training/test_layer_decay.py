"""Learning rates, parameter by parameter, against the authors' own functions as mmseg ships them."""

import re
from functools import cache

import pytest
import torch
from mmengine.optim import LinearLR, PolyLR
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmseg.engine.optimizers.layer_decay_optimizer_constructor import (
    LearningRateDecayOptimizerConstructor,
    get_layer_id_for_convnext,
    get_stage_id_for_convnext,
)
from torch import nn

from lkdense.backbones import ConvNeXt, RepLKNet, SLaK
from lkdense.training import LayerDecayOptimWrapperConstructor

LR, DECAY = 1e-3, 0.05
# Size: the blocks of stage 3, and the num_layers in the authors' configs for that size.
DEPTHS = {'pico': (6, 5), 'tiny': (9, 6), 'base': (27, 12)}


class Segmentor(nn.Module):
    """A backbone and a head, as far as an optimizer is concerned."""

    def __init__(self, backbone: nn.Module):
        super().__init__()
        self.backbone = backbone
        self.decode_head = nn.Sequential(nn.Conv2d(8, 4, 1), nn.BatchNorm2d(4))
        self.auxiliary_head = nn.Conv2d(8, 4, 1)


@cache
def model_of(size: str, family: type = ConvNeXt) -> Segmentor:
    depths = (1, 1, DEPTHS[size][0], 1)
    return Segmentor(family(arch=dict(depths=depths, dims=(8, 8, 8, 8))))


def groups_of(model: nn.Module, **paramwise_cfg) -> dict[str, dict]:
    """Return the settings of every parameter by its name."""
    wrapper_cfg = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=LR, weight_decay=DECAY))
    constructor = OPTIM_WRAPPER_CONSTRUCTORS.build(
        dict(type='LayerDecayOptimWrapperConstructor', optim_wrapper_cfg=wrapper_cfg, paramwise_cfg=paramwise_cfg)
    )
    return settings_by_name(model, constructor(model))


def settings_by_name(model: nn.Module, optim_wrapper) -> dict[str, dict]:
    names = {id(param): name for name, param in model.named_parameters()}
    settings = {}
    for group in optim_wrapper.optimizer.param_groups:
        for param in group['params']:
            settings[names[id(param)]] = group

    return settings


def official_name(name: str) -> str:
    name = name.replace('backbone.stem.', 'backbone.downsample_layers.0.')
    for index in range(3):
        name = name.replace(f'backbone.downsamples.{index}.', f'backbone.downsample_layers.{index + 1}.')

    return name


@pytest.mark.parametrize('shift', [0, 3], ids=['own num_layers', 'other num_layers'])
@pytest.mark.parametrize('decay_type', ['layer_wise', 'stage_wise'])
@pytest.mark.parametrize('family', [SLaK, ConvNeXt], ids=lambda family: family.__name__)
@pytest.mark.parametrize('size', DEPTHS)
def test_scales_are_those_of_the_authors_functions(size, family, decay_type, shift):
    model, rate = model_of(size, family), 0.7
    num_layers = DEPTHS[size][1] + shift
    options = dict(num_layers=num_layers) if shift else {}
    groups = groups_of(model, decay_rate=rate, decay_type=decay_type, **options)
    assert groups.keys() == {name for name, _ in model.named_parameters()}

    for name, group in groups.items():
        if decay_type == 'layer_wise':
            layer = get_layer_id_for_convnext(official_name(name), num_layers)
        else:
            layer = get_stage_id_for_convnext(official_name(name), num_layers + 2)
        assert group['lr'] == pytest.approx(LR * rate ** (num_layers + 1 - layer), rel=1e-12), name


def test_depths_written_out_by_hand():
    groups = groups_of(model_of('tiny'), decay_rate=0.5, decay_type='layer_wise')
    scales = {}
    for name, group in groups.items():
        part = re.match(r'backbone\.(stages\.\d\.\d|downsamples\.\d|\w+)|\w+', name)[0]
        scales.setdefault(part, group['lr'] / LR)

    assert scales['backbone.stem'] == 0.5**7
    assert scales['backbone.stages.0.0'] == 0.5**6
    assert scales['backbone.downsamples.0'] == scales['backbone.stages.1.0'] == 0.5**5
    assert scales['backbone.downsamples.1'] == scales['backbone.stages.2.2'] == 0.5**4
    assert scales['backbone.stages.2.3'] == 0.5**3
    assert scales['backbone.stages.2.8'] == 0.5**2
    assert scales['backbone.downsamples.2'] == scales['backbone.stages.3.0'] == 0.5
    assert [scales[f'backbone.norm{i}'] for i in range(4)] == [1] * 4
    assert scales['decode_head'] == scales['auxiliary_head'] == 1


def test_rates_grow_from_the_stem_to_the_head_of_replknet():
    # RepLKNet's authors use no layer decay, so there is nothing to compare with.
    groups = groups_of(model_of('tiny', RepLKNet), decay_rate=0.8)

    rates = []
    for part in (
        'backbone.stem',
        'backbone.stages.0.',
        'backbone.downsamples.0',
        'backbone.stages.1.',
        'backbone.downsamples.1',
        'backbone.stages.2.3.',
        'backbone.stages.2.8.',
        'backbone.downsamples.2',
        'backbone.stages.3.',
        'decode_head',
    ):
        (rate,) = {group['lr'] for name, group in groups.items() if name.startswith(part)}
        rates.append(rate)

    assert rates == sorted(rates)
    # Stages 2 and 4 share their layers with the downsampling before them.
    assert len(set(rates)) == len(rates) - 2
    assert rates[-1] == LR


@pytest.mark.parametrize('decay_type', ['layer_wise', 'stage_wise'])
def test_groups_are_those_of_mmseg_on_the_same_model(decay_type):
    # mmseg's constructor requires the authors' names in a class called ConvNeXt, so this one mirrors ours, parameter
    # for parameter.
    ours = model_of('tiny')

    class ConvNeXtMirror(nn.Module):
        pass

    mirror = nn.Module()
    mirror.backbone = ConvNeXtMirror()

    for name, param in ours.named_parameters():
        *path, leaf = official_name(name).split('.')
        module = mirror
        for part in path:
            if not hasattr(module, part):
                module.add_module(part, nn.Module())
            module = getattr(module, part)
        module.register_parameter(leaf, param)

    paramwise_cfg = dict(decay_rate=0.8, decay_type=decay_type, num_layers=6)
    wrapper_cfg = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=LR, weight_decay=DECAY))
    theirs = settings_by_name(mirror, LearningRateDecayOptimizerConstructor(wrapper_cfg, paramwise_cfg)(mirror))

    for name, group in groups_of(ours, **paramwise_cfg).items():
        expected = theirs[official_name(name)]
        assert (group['lr'], group['weight_decay']) == pytest.approx((expected['lr'], expected['weight_decay'])), name


def test_equal_settings_share_a_group_and_each_parameter_has_one():
    model = model_of('tiny')
    settings = groups_of(model, decay_rate=0.9, decay_type='stage_wise')
    groups = list({id(group): group for group in settings.values()}.values())
    # Stages 0 to 4 and the rest each have one with weight decay and one without.
    assert len(groups) == 12

    settings = [(group['lr'], group['weight_decay']) for group in groups]
    assert len(set(settings)) == len(settings)

    params = [id(param) for group in groups for param in group['params']]
    assert sorted(params) == sorted(map(id, model.parameters()))


def test_options_of_the_default_constructor_act_on_top():
    plain = groups_of(model_of('tiny'), decay_rate=0.9)
    keys = {'decode_head': dict(lr_mult=10.0), 'stages.3': dict(decay_mult=0.5), 'norm2': dict(lr_mult=2, decay_mult=1)}
    groups = groups_of(model_of('tiny'), decay_rate=0.9, norm_decay_mult=0.1, custom_keys=keys)

    assert groups['decode_head.0.weight']['lr'] == pytest.approx(10 * plain['decode_head.0.weight']['lr'])
    assert groups['decode_head.0.weight']['weight_decay'] == DECAY
    # A custom key without decay_mult leaves the rule for biases as it is.
    assert groups['decode_head.0.bias']['weight_decay'] == 0

    four = next(name for name, p in model_of('tiny').named_parameters() if 'stages.3' in name and p.ndim == 4)
    assert groups[four]['lr'] == plain[four]['lr']
    assert groups[four]['weight_decay'] == groups['backbone.stages.3.0.norm.bias']['weight_decay'] == 0.5 * DECAY
    assert groups['backbone.norm2.weight']['weight_decay'] == DECAY
    assert groups['backbone.norm2.weight']['lr'] == pytest.approx(2 * plain['backbone.norm2.weight']['lr'])
    assert groups['backbone.norm1.weight']['weight_decay'] == pytest.approx(0.1 * DECAY)


def test_frozen_parameters_are_left_out_and_shared_ones_come_once():
    model = Segmentor(ConvNeXt(arch=dict(depths=(1, 1, 1, 1), dims=(8, 8, 8, 8)), frozen_stages=1))
    model.auxiliary_head.weight = model.decode_head[0].weight
    groups = groups_of(model, decay_rate=0.9, bypass_duplicate=True)
    assert groups.keys() == {name for name, param in model.named_parameters() if param.requires_grad}
    assert not any('stem' in name or 'stages.0' in name for name in groups)
    assert len(groups['decode_head.0.weight']['params']) == len(set(map(id, groups['decode_head.0.weight']['params'])))


def test_ratios_hold_through_warm_up_and_decay():
    model = model_of('pico')
    constructor = LayerDecayOptimWrapperConstructor(
        dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=LR, weight_decay=DECAY)), dict(decay_rate=0.7)
    )
    optim_wrapper = constructor(model)
    schedulers = [
        LinearLR(optim_wrapper, start_factor=1e-6, by_epoch=False, begin=0, end=4),
        PolyLR(optim_wrapper, power=1.0, eta_min=0.0, by_epoch=False, begin=4, end=12),
    ]
    scales = [group['lr'] for group in optim_wrapper.optimizer.param_groups]
    head = max(scales)

    for _ in range(10):
        for param in model.parameters():
            param.grad = torch.zeros_like(param)

        optim_wrapper.step()
        for scheduler in schedulers:
            scheduler.step()

        rates = [group['lr'] for group in optim_wrapper.optimizer.param_groups]
        assert [rate / max(rates) for rate in rates] == pytest.approx([scale / head for scale in scales])
        # MMEngine logs the head's learning rate as the base learning rate.
        assert optim_wrapper.get_lr()['base_lr'] == pytest.approx([max(rates)])

    assert 0 < max(rates) < LR


def test_a_model_wrapper_is_unwrapped():
    wrapped = nn.Module()
    wrapped.module = model_of('tiny')
    assert groups_of(wrapped.module, decay_rate=0.9).keys() == {name for name, _ in wrapped.module.named_parameters()}
    constructor = LayerDecayOptimWrapperConstructor(
        dict(optimizer=dict(type='AdamW', lr=LR, weight_decay=DECAY)), dict(decay_rate=0.9)
    )
    assert constructor(wrapped).optimizer.param_groups[0]['lr'] == pytest.approx(LR * 0.9**7)


@pytest.mark.parametrize(
    ('paramwise_cfg', 'message'),
    [
        (dict(decay_rate=1.5), r'decay_rate must be in \(0, 1\], got 1.5'),
        (dict(decay_type='layer_wise'), r'decay_rate must be in \(0, 1\], got None'),
        (dict(decay_rate=0.9, decay_type='blockwise'), "decay_type must be one of .* got 'blockwise'"),
        (dict(decay_rate=0.9, num_layers=0), 'num_layers must be at least 4, got 0'),
    ],
)
def test_options_out_of_range(paramwise_cfg, message):
    with pytest.raises(ValueError, match=message):
        groups_of(model_of('tiny'), **paramwise_cfg)


def test_a_backbone_without_layer_depth_is_named():
    with pytest.raises(ValueError, match=r'get_layer_depth.*Segmentor.backbone is a Conv2d'):
        groups_of(Segmentor(nn.Conv2d(3, 8, 3)), decay_rate=0.9)
