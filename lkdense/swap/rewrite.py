"""The whole swap: from a config and a backbone's name to what a config that inherits from it sets."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.utils import import_modules_from_strings

from ..config import dicts_in, register_all_of, without_onedl_notice
from ..errors import first_line
from .feature_maps import Maps, SwapError, comma_separated, match_stages, measure_maps
from .recipe import Recipe, find_recipe
from .rewire import rewire_readers
from .smoke_test import parameter_names

# The constructors of layer-wise decay, ours and the hosts', read these options in paramwise_cfg.
DECAY_OPTIONS = ('decay_rate', 'decay_type', 'num_layers')
# Learning rates that a schedule of MMEngine may name.
RATES = ('eta_min', 'eta_max')


class SwapOptions(NamedTuple):
    """What a user may choose about a swap.

    >>> SwapOptions(checkpoint='SLaK_tiny_checkpoint.pth').keep_optimizer
    False

    Attributes:
        checkpoint: the weights of the new backbone.
        drop_path_rate: the rate of stochastic depth; None for that of our recipe.
        keep_optimizer: change nothing in how the config trains.
        their_maps: the maps of the old backbone, if it cannot be built here.
        chosen_widths: dotted path to a width that cannot be told, such as ``model.neck.in_channels``.
    """

    checkpoint: str | None = None
    drop_path_rate: float | None = None
    keep_optimizer: bool = False
    their_maps: Maps | None = None
    chosen_widths: Mapping[str, Any] = {}


class Swap(NamedTuple):
    """A config with another backbone.

    Attributes:
        changes: what the new config sets on top of the one that it inherits from.
        differences: dotted path, old value and new value of all that changes.
        notes: sentences that the user should read.
        config: the whole new config, with all that it inherits.
    """

    changes: dict
    differences: list[tuple[str, Any, Any]]
    notes: list[str]
    config: dict


AS_RECOMMENDED = SwapOptions()
# Stands for a value that only one of two configs has.
ABSENT = object()


def read_host_config(path: str | Path) -> Config:
    """Read a config of mmseg or mmdet, and register what its scope and its own imports bring.

    An import that fails is passed over: it may be there for the old backbone only.

    >>> from lkdense.config import config_path
    >>> read_host_config(config_path('upernet_slak_t_ade20k')).default_scope
    'mmseg'

    Raises:
        SwapError: the config cannot be read.
    """
    try:
        cfg = Config.fromfile(path, import_custom_modules=False)
    except Exception as error:
        # A config is code, which may raise anything.
        raise SwapError('unreadable', f'{path} cannot be read: {first_line(error)}') from error

    scope = cfg.get('default_scope')
    with without_onedl_notice():
        if scope in ('mmseg', 'mmdet'):
            register_all_of(scope)

        with suppress(ImportError):
            import_modules_from_strings(**(cfg.get('custom_imports') or dict(imports=[])))

    return cfg


def swap_backbone(cfg: Config, name: str, options: SwapOptions = AS_RECOMMENDED) -> Swap:
    """Put the backbone ``name``, such as ``slak_t``, into a config of mmseg or mmdet, which stays as it is.

    >>> from lkdense.config import config_path
    >>> cfg = read_host_config(config_path('upernet_slak_t_ade20k'))
    >>> swap_backbone(cfg, 'convnext_t').config['model']['decode_head']['in_channels']
    [96, 192, 384, 768]

    Raises:
        SwapError: it cannot be done, or the user has to say how.
    """
    scope = cfg.get('default_scope')
    # A config keeps the modules that it imports, and these cannot be copied.
    old = {key: value for key, value in cfg.to_dict().items() if not isinstance(value, ModuleType)}
    new = deepcopy(old)

    model, path = _find_holder(new.get('model'))
    recipe = find_recipe(name, scope)
    old_type = model['backbone'].get('type')
    channels = model['backbone'].get('in_channels', 3)
    if channels != 3:
        raise SwapError('other images', f'{old_type} reads images of {channels} channels, our backbones of 3')

    old_maps = options.their_maps or measure_maps(model['backbone'], scope)
    stages = match_stages(old_maps, old_type)
    model['backbone'] = _new_backbone(recipe, stages, options)
    new_maps = measure_maps(model['backbone'], scope)

    rewire_readers(model, path, old_maps, new_maps, scope, options.chosen_widths)
    for width_path, width in options.chosen_widths.items():
        if _value_at(new, width_path) != width:
            raise SwapError('unknown name', f'--set {width_path}: no width of what reads the backbone stands there')

    notes = _notes(old_maps, new_maps, old_type, options)
    _drop_weights(new, model)
    _drop_imports(new, old_type)
    _set_normalization(new['model'], recipe)

    if not options.keep_optimizer and 'optimizer' in (new.get('optim_wrapper') or {}):
        # Layer-wise decay looks for the backbone in the model itself, not in a detector inside it.
        _set_optimizer(new, recipe, has_decay=path == 'model', notes=notes)

    return Swap(_changes(old, new), list(_differences(old, new)), notes, new)


def _value_at(cfg: Any, path: str) -> Any:
    """Return the value at a dotted path, or ``ABSENT``."""
    for key in path.split('.'):
        if isinstance(cfg, list | tuple) and key.isdigit() and int(key) < len(cfg):
            cfg = cfg[int(key)]
        elif isinstance(cfg, dict) and key in cfg:
            cfg = cfg[key]
        else:
            return ABSENT

    return cfg


def _find_holder(model: dict | None) -> tuple[dict, str]:
    """Return the dict that holds backbone, neck and heads: the model's own, or that of the detector that it wraps."""
    if not model:
        raise SwapError('no model', 'the config has no model')

    for part, path in ((model, 'model'), (model.get('detector'), 'model.detector')):
        # A backbone without a type is built by another library, such as Detectron2.
        if isinstance(part, dict) and isinstance(part.get('backbone'), dict) and 'type' in part['backbone']:
            return part, path

    raise SwapError('no backbone', f'{model.get("type")} has no backbone of its own that could be replaced')


def _new_backbone(recipe: Recipe, stages: tuple[int, ...], options: SwapOptions) -> dict:
    backbone = dict(type=recipe.backbone['type']) | recipe.backbone
    if options.drop_path_rate is not None:
        backbone['drop_path_rate'] = options.drop_path_rate
    if stages != (0, 1, 2, 3):
        backbone['out_indices'] = stages
    if options.checkpoint:
        backbone['init_cfg'] = dict(type='Pretrained', checkpoint=options.checkpoint)
    return backbone


def _notes(old_maps: Maps, new_maps: Maps, old_type: str, options: SwapOptions) -> list[str]:
    notes = []
    if old_maps.strides != new_maps.strides:
        notes.append(
            f'the maps of {old_type} lie at strides {comma_separated(old_maps.strides)}, held back by dilation; '
            f'those of the new backbone at {comma_separated(new_maps.strides)}'
        )

    if not options.checkpoint:
        notes.append('the new backbone starts from random weights; --checkpoint names a file of its authors')
    return notes


def _drop_weights(cfg: dict, model: dict) -> None:
    """Take out the weights of the old model, which would not fit.

    Args:
        cfg: the whole config.
        model: the part that holds the backbone: the model itself, or the detector inside it.
    """
    for part in (cfg['model'], model):
        if part.get('pretrained'):
            part['pretrained'] = None
        if (part.get('init_cfg') or {}).get('type') == 'Pretrained':
            part['init_cfg'] = None

    if cfg.get('load_from'):
        cfg['load_from'] = None


def _drop_imports(cfg: dict, old_type: str) -> None:
    """Stop importing a package of backbones from which the config used the old backbone only."""
    package, dot, _ = old_type.rpartition('.')
    modules = (cfg.get('custom_imports') or {}).get('imports', ())
    modules = [modules] if isinstance(modules, str) else modules
    if not dot or not modules or any(module.split('.')[0] != package for module in modules):
        return

    types = [str(part.get('type')) for part in dicts_in(cfg)]
    if not any(name.startswith(f'{package}.') for name in types):
        cfg['custom_imports'] = None


def _set_normalization(model: dict, recipe: Recipe) -> None:
    """Give images the mean and deviation that the new backbone was pretrained with."""
    for part in list(dicts_in(model)):
        preprocessor = part.get('data_preprocessor')
        # A preprocessor of several branches wraps the one that normalizes.
        if isinstance(preprocessor, dict) and 'data_preprocessor' not in preprocessor:
            preprocessor.update(deepcopy(recipe.preprocessor))
            if preprocessor.get('rgb_to_bgr'):
                preprocessor['rgb_to_bgr'] = False


def _set_optimizer(cfg: dict, recipe: Recipe, has_decay: bool, notes: list[str]) -> None:
    """Give the optimizer what suits the new backbone; one that is AdamW already keeps its rates.

    Args:
        cfg: the whole config.
        recipe: that of the new backbone.
        has_decay: whether layer-wise decay can be used.
        notes: sentences for the user, to which one on the learning rate is added.
    """
    wrapper, optimizer = cfg['optim_wrapper'], recipe.optim_wrapper['optimizer']
    if wrapper['optimizer'].get('type') != optimizer['type']:
        if 'lr' in wrapper['optimizer']:
            _scale_schedule(cfg, optimizer['lr'] / wrapper['optimizer']['lr'])

        wrapper['optimizer'] = deepcopy(optimizer)
        scaling = cfg.setdefault('auto_scale_lr', dict(enable=False))
        scaling['base_batch_size'] = recipe.batch_size
        notes.append(f'the learning rate of {optimizer["lr"]:g} is meant for {recipe.batch_size} images an iteration')

    constructor = recipe.optim_wrapper.get('constructor') if has_decay else None
    paramwise = _new_paramwise(cfg, recipe, has_decay)
    for key, value in (('constructor', constructor), ('paramwise_cfg', paramwise)):
        if value:
            wrapper[key] = value
        else:
            wrapper.pop(key, None)


def _new_paramwise(cfg: dict, recipe: Recipe, has_decay: bool) -> dict:
    """Return the ``paramwise_cfg``: the config's own without what was about the old backbone, and the recipe's."""
    paramwise = dict(cfg['optim_wrapper'].get('paramwise_cfg') or {})
    for option in DECAY_OPTIONS:
        paramwise.pop(option, None)

    custom_keys = paramwise.pop('custom_keys', None)
    if custom_keys:
        names = parameter_names(cfg['model'], cfg.get('default_scope'))
        decays = has_decay and 'constructor' in recipe.optim_wrapper
        custom_keys = {key: value for key, value in custom_keys.items() if _is_for(key, names, decays)}
    if custom_keys:
        paramwise['custom_keys'] = custom_keys

    if has_decay:
        options = dict(recipe.optim_wrapper.get('paramwise_cfg', {}))
        options.pop('custom_keys', None)
        paramwise.update(options)

    return paramwise


def _scale_schedule(cfg: dict, factor: float) -> None:
    """Scale the rates that a schedule gives as numbers, rather than as shares of the learning rate."""
    for scheduler in dicts_in(cfg.get('param_scheduler') or []):
        for key in RATES:
            if scheduler.get(key):
                scheduler[key] = float(f'{scheduler[key] * factor:.6g}')


def _is_for(key: str, names: Sequence[str], decays: bool) -> bool:
    """Return whether a custom key is about any of the parameters ``names``.

    The key ``backbone`` slows the whole backbone down, which layer-wise decay does better.

    Args:
        key: a part of the names of parameters.
        names: those of the new model; none if they are not known.
        decays: whether layer-wise decay is used.
    """
    if key == 'backbone':
        return not decays
    if not names:
        return not key.startswith('backbone.')

    return any(key in name for name in names)


def _changes(old: dict, new: dict) -> dict:
    """Return what a config sets to make ``new`` of the ``old`` that it inherits."""
    changes = {}
    for key, value in new.items():
        before = old.get(key, ABSENT)
        if _same(before, value):
            continue

        if not isinstance(value, dict) or not isinstance(before, dict):
            changes[key] = value
        elif before.keys() <= value.keys() and before.get('type') == value.get('type'):
            changes[key] = _changes(before, value)
        else:
            # No other way takes out what a config inherits.
            changes[key] = dict(_delete_=True) | value

    return changes


def _differences(old: Any, new: Any, path: str = '') -> Iterator[tuple[str, Any, Any]]:
    """Yield dotted path, old value and new value of all that differs; None for a value that is not there."""
    if _same(old, new):
        return

    if isinstance(old, dict) and isinstance(new, dict) and old.get('type') == new.get('type'):
        for key in dict.fromkeys((*old, *new)):
            yield from _differences(old.get(key, ABSENT), new.get(key, ABSENT), f'{path}.{key}' if path else key)
    elif isinstance(old, list | tuple) and _holds_dicts(old) and len(old) == len(new):
        for i, (old_part, new_part) in enumerate(zip(old, new)):
            yield from _differences(old_part, new_part, f'{path}.{i}')
    else:
        yield path, None if old is ABSENT else old, None if new is ABSENT else new


def _holds_dicts(values: Any) -> bool:
    return any(isinstance(value, dict) for value in values)


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and a == b
