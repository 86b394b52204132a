"""What one of our backbones brings to a config: its arguments, optimizer and normalization of images.

All of it is read off the configs of lkdense.
"""

from importlib import import_module
from typing import NamedTuple

from .. import backbones
from ..config import get_config
from .feature_maps import SwapError, listed

# Module of each family, as configs and this command name it, and its class.
FAMILIES = {module: name for name, module in backbones.FAMILIES.items()}
SIZES = {'t': 'tiny', 's': 'small', 'b': 'base', 'l': 'large', 'xl': 'xlarge'}
# the configs that a backbone's arguments are taken from, the nearest first
SOURCES = {
    'mmseg': ('upernet_{}_ade20k', 'cascade_mask_rcnn_{}_coco'),
    'mmdet': ('cascade_mask_rcnn_{}_coco', 'faster_rcnn_{}_voc07', 'upernet_{}_ade20k'),
}
# for sizes that none of them has: trained from random weights
NO_RECIPE = 'upernet_slak_pico_ade20k'


class Recipe(NamedTuple):
    """Dicts of a config: of the backbone, the optimizer's wrapper and the preprocessor; and the name of that config."""

    backbone: dict
    optim_wrapper: dict
    preprocessor: dict
    batch_size: int
    source: str | None


def recipe_for(name: str, scope: str | None) -> Recipe:
    """Return what the backbone ``name``, such as ``slak_t``, brings to segmentation or detection.

    Raises:
        SwapError: there is no backbone of that name.
    """
    family, _, size = name.partition('_')
    archs = import_module(f'..backbones.{family}', __package__).ARCHS if family in FAMILIES else {}
    arch = size if size in archs else SIZES.get(size)
    if arch not in archs:
        raise SwapError('unknown name', f'there is no backbone {name!r}; known are {listed(names())}')

    for pattern in SOURCES.get(scope, SOURCES['mmseg']):
        try:
            cfg, source = get_config(pattern.format(name)), pattern.format(name)
            break
        except ValueError:
            continue
    else:
        cfg, source = get_config(NO_RECIPE), None

    backbone = cfg.model.backbone.to_dict() if source else dict(arch=arch, drop_path_rate=0.0)
    # the dotted name needs no import line
    backbone['type'] = f'lkdense.{FAMILIES[family]}'
    wrapper = cfg.optim_wrapper.to_dict()
    if (constructor := wrapper.get('constructor')) and '.' not in constructor:
        wrapper['constructor'] = f'lkdense.{constructor}'

    preprocessor = {key: cfg.model.data_preprocessor[key] for key in ('mean', 'std', 'bgr_to_rgb')}
    return Recipe(backbone, wrapper, preprocessor, cfg.auto_scale_lr.base_batch_size, source)


def names() -> list[str]:
    """Return the names of all our backbones, in the form in which the configs' names have them."""
    short = {long: short for short, long in SIZES.items()}
    return [
        f'{family}_{short.get(arch, arch)}'
        for family in FAMILIES
        for arch in import_module(f'..backbones.{family}', __package__).ARCHS
    ]
