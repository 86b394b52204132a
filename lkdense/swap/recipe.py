"""What one of our backbones brings to a config: its arguments, optimizer and normalization of images.

Everything is read off the configs of lkdense, so a new backbone needs no line here.
"""

from importlib import import_module
from typing import NamedTuple

from mmengine.config import Config

from ..backbones import FAMILIES
from ..config import get_config
from .feature_maps import SwapError, comma_separated

# The class of each family, by its module, with which the names of configs and backbones begin.
CLASSES = {module: name for name, module in FAMILIES.items()}
# Names of configs abbreviate these archs. Every other arch stands there as it is.
SIZES = {'t': 'tiny', 's': 'small', 'b': 'base', 'l': 'large', 'xl': 'xlarge'}
# A backbone's arguments come from the first of these configs that exists: the nearest task stands first.
SOURCES = {
    'mmseg': ('upernet_{}_ade20k', 'cascade_mask_rcnn_{}_coco'),
    'mmdet': ('cascade_mask_rcnn_{}_coco', 'faster_rcnn_{}_voc07', 'upernet_{}_ade20k'),
}
# Sizes that none of them has take the optimizer of this config, which trains from random weights.
NO_RECIPE = 'upernet_slak_pico_ade20k'


class Recipe(NamedTuple):
    """What a backbone brings to a config.

    Attributes:
        backbone: the dict of the backbone.
        optim_wrapper: the dict of the optimizer's wrapper.
        preprocessor: what normalizes the images: mean, deviation and the order of the channels.
        batch_size: images an iteration that the learning rate is meant for.
        source: name of the config that it was read from; None where this size has none.
    """

    backbone: dict
    optim_wrapper: dict
    preprocessor: dict
    batch_size: int
    source: str | None


def find_recipe(name: str, scope: str | None) -> Recipe:
    """Return what the backbone ``name``, such as ``slak_t``, brings to segmentation or detection.

    >>> find_recipe('slak_t', 'mmseg').source
    'upernet_slak_t_ade20k'

    Raises:
        SwapError: there is no backbone of that name.
    """
    family, _, size = name.partition('_')
    archs = _archs_of(family) if family in CLASSES else ()
    arch = size if size in archs else SIZES.get(size)
    if arch not in archs:
        known = comma_separated(backbone_names())
        raise SwapError('unknown name', f'there is no backbone {name!r}; known are {known}')

    cfg, source = _nearest_config(name, scope)
    backbone = cfg.model.backbone.to_dict() if source else dict(arch=arch, drop_path_rate=0.0)
    # The dotted name needs no import line.
    backbone['type'] = f'lkdense.{CLASSES[family]}'

    optim_wrapper = cfg.optim_wrapper.to_dict()
    constructor = optim_wrapper.get('constructor')
    if constructor and '.' not in constructor:
        optim_wrapper['constructor'] = f'lkdense.{constructor}'

    preprocessor = {key: cfg.model.data_preprocessor[key] for key in ('mean', 'std', 'bgr_to_rgb')}
    return Recipe(backbone, optim_wrapper, preprocessor, cfg.auto_scale_lr.base_batch_size, source)


def backbone_names() -> list[str]:
    """Return the names of all our backbones, as the names of configs have them.

    >>> 'slak_t' in backbone_names()
    True
    """
    abbreviations = {arch: size for size, arch in SIZES.items()}
    names = []
    for family in CLASSES:
        names += [f'{family}_{abbreviations.get(arch, arch)}' for arch in _archs_of(family)]

    return names


def _archs_of(family: str) -> dict:
    return import_module(f'..backbones.{family}', __package__).ARCHS


def _nearest_config(name: str, scope: str | None) -> tuple[Config, str | None]:
    """Return the config that the recipe of a backbone is read from, and its name; None for that of ``NO_RECIPE``."""
    for pattern in SOURCES.get(scope, SOURCES['mmseg']):
        source = pattern.format(name)
        try:
            return get_config(source), source
        except ValueError:
            continue

    return get_config(NO_RECIPE), None
