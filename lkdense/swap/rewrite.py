"""The whole swap: from a config and a backbone's name to what a config that inherits from it sets."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.utils import import_modules_from_strings

from ..config import register_all_of
from ..errors import first_line
from .feature_maps import Maps, SwapError, listed, measure, stages_for
from .recipe import Recipe, recipe_for
from .rewire import dicts, follow
from .smoke_test import parameters

# what the constructors of layer-wise decay read in paramwise_cfg, here and in the hosts
DECAY_OPTIONS = ('decay_rate', 'decay_type', 'num_layers')
# learning rates that a schedule of MMEngine may name
RATES = ('eta_min', 'eta_max')


class Choices(NamedTuple):
    """What a user may choose.

    Attributes:
        checkpoint: the weights of the new backbone.
        drop_path_rate: None for that of our recipe.
        keep_optimizer: change nothing in how the config trains.
        their_maps: what the old backbone yields, if it cannot be built here.
        given: dotted path to a value that cannot be told, such as ``model.neck.in_channels``.
    """

    checkpoint: str | None = None
    drop_path_rate: float | None = None
    keep_optimizer: bool = False
    their_maps: Maps | None = None
    given: Mapping[str, Any] = {}


class Swap(NamedTuple):
    """What becomes of a config.

    Attributes:
        changes: what the new config sets on top of the one that it inherits from.
        differences: dotted path, what was there, what is there now.
        notes: what the user should know.
        config: what the new config amounts to.
    """

    changes: dict
    differences: list[tuple[str, Any, Any]]
    notes: list[str]
    config: dict


AS_RECOMMENDED = Choices()
# what is not there in one of two configs
ABSENT = object()


def read(path: str | Path) -> Config:
    """Read a config of mmseg or mmdet, and register what its scope and its own imports bring.

    An import that fails is passed over: it may be there for the old backbone only.

    Raises:
        SwapError: the config cannot be read.
    """
    try:
        cfg = Config.fromfile(path, import_custom_modules=False)
    except Exception as error:  # a config is code
        raise SwapError('unreadable', f'{path} cannot be read: {first_line(error)}') from error
    if (scope := cfg.get('default_scope')) in ('mmseg', 'mmdet'):
        register_all_of(scope)
    with suppress(ImportError):
        import_modules_from_strings(**(cfg.get('custom_imports') or dict(imports=[])))
    return cfg


def swap_backbone(cfg: Config, name: str, choices: Choices = AS_RECOMMENDED) -> Swap:
    """Put the backbone ``name``, such as ``slak_t``, into a config of mmseg or mmdet, which stays as it is.

    Raises:
        SwapError: it cannot be done, or the user has to say how.
    """
    scope = cfg.get('default_scope')
    # what a config imports is left in it, and cannot be copied
    old = {key: value for key, value in cfg.to_dict().items() if not isinstance(value, ModuleType)}
    new = deepcopy(old)
    model, path = _holder(new.get('model'))
    recipe = recipe_for(name, scope)
    their_type = model['backbone'].get('type')

    if (channels := model['backbone'].get('in_channels', 3)) != 3:
        raise SwapError('other images', f'{their_type} reads images of {channels} channels, our backbones of 3')

    theirs = choices.their_maps or measure(model['backbone'], scope)
    stages = stages_for(theirs, their_type)
    model['backbone'] = _backbone(recipe, stages, choices)
    ours = measure(model['backbone'], scope)
    follow(model, path, theirs, ours, scope, choices.given)

    for key, value in choices.given.items():
        if _at(new, key) != value:
            raise SwapError('unknown name', f'--set {key}: no width of what reads the backbone stands there')

    notes = _notes(theirs, ours, their_type, choices)
    _forget_weights(new, model)
    _forget_imports(new, their_type)
    _normalize(new['model'], recipe)

    if not choices.keep_optimizer and 'optimizer' in (new.get('optim_wrapper') or {}):
        _train(new, recipe, has_decay=path == 'model', notes=notes)

    return Swap(_changes(old, new), list(_differences(old, new)), notes, new)


def _at(cfg: Any, path: str) -> Any:
    """What stands at a dotted path, or ``ABSENT``."""
    for key in path.split('.'):
        if isinstance(cfg, list | tuple) and key.isdigit() and int(key) < len(cfg):
            cfg = cfg[int(key)]
        elif isinstance(cfg, dict) and key in cfg:
            cfg = cfg[key]
        else:
            return ABSENT
    return cfg


def _holder(model: dict | None) -> tuple[dict, str]:
    """The dict that holds backbone, neck and heads: the model's own, or that of the detector that it wraps."""
    if not model:
        raise SwapError('no model', 'the config has no model')
    for part, path in ((model, 'model'), (model.get('detector'), 'model.detector')):
        # one without a type is built by another library, such as Detectron2
        if isinstance(part, dict) and isinstance(part.get('backbone'), dict) and 'type' in part['backbone']:
            return part, path
    raise SwapError('no backbone', f'{model.get("type")} has no backbone of its own that could be replaced')


def _backbone(recipe: Recipe, stages: tuple[int, ...], choices: Choices) -> dict:
    backbone = dict(type=recipe.backbone['type']) | recipe.backbone
    if choices.drop_path_rate is not None:
        backbone['drop_path_rate'] = choices.drop_path_rate
    if stages != (0, 1, 2, 3):
        backbone['out_indices'] = stages
    if choices.checkpoint:
        backbone['init_cfg'] = dict(type='Pretrained', checkpoint=choices.checkpoint)
    return backbone


def _notes(theirs: Maps, ours: Maps, their_type: str, choices: Choices) -> list[str]:
    notes = []
    if theirs.strides != ours.strides:
        notes.append(
            f'the maps of {their_type} lie at strides {listed(theirs.strides)}, held back by dilation; '
            f'those of the new backbone at {listed(ours.strides)}'
        )
    if not choices.checkpoint:
        notes.append('the new backbone starts from random weights; --checkpoint names a file of its authors')
    return notes


def _forget_weights(cfg: dict, model: dict) -> None:
    """Take out the weights of the old model, which would not fit."""
    for holder in {id(part): part for part in (cfg['model'], model)}.values():
        if holder.get('pretrained'):
            holder['pretrained'] = None
        if (holder.get('init_cfg') or {}).get('type') == 'Pretrained':
            holder['init_cfg'] = None
    if cfg.get('load_from'):
        cfg['load_from'] = None


def _forget_imports(cfg: dict, their_type: str) -> None:
    """Import no package of backbones any more of which the old one was all that the config used."""
    package, dot, _ = their_type.rpartition('.')
    modules = (cfg.get('custom_imports') or {}).get('imports', ())
    modules = [modules] if isinstance(modules, str) else modules
    if dot and modules and all(module.split('.')[0] == package for module in modules):
        types = [str(part.get('type')) for part, _ in dicts(cfg, '')]
        if not any(name.startswith(f'{package}.') for name in types):
            cfg['custom_imports'] = None


def _normalize(model: dict, recipe: Recipe) -> None:
    """Give images the mean and deviation that the new backbone was pretrained with."""
    for part, _ in list(dicts(model, 'model')):
        preprocessor = part.get('data_preprocessor')
        # a preprocessor of several branches has the one that normalizes inside
        if isinstance(preprocessor, dict) and 'data_preprocessor' not in preprocessor:
            preprocessor.update(deepcopy(recipe.preprocessor))
            if preprocessor.get('rgb_to_bgr'):
                preprocessor['rgb_to_bgr'] = False


def _train(cfg: dict, recipe: Recipe, has_decay: bool, notes: list[str]) -> None:
    """Give the optimizer what suits the new backbone; one that is AdamW already keeps its rates."""
    wrapper, suited = cfg['optim_wrapper'], recipe.optim_wrapper
    if wrapper['optimizer'].get('type') != suited['optimizer']['type']:
        if 'lr' in wrapper['optimizer']:
            _scale_schedule(cfg, suited['optimizer']['lr'] / wrapper['optimizer']['lr'])
        wrapper['optimizer'] = deepcopy(suited['optimizer'])
        scaling = cfg.setdefault('auto_scale_lr', dict(enable=False))
        scaling['base_batch_size'] = recipe.batch_size
        notes.append(
            f'the learning rate of {suited["optimizer"]["lr"]:g} is meant for {recipe.batch_size} images an iteration'
        )

    decays = has_decay and 'constructor' in suited
    paramwise = {k: v for k, v in (wrapper.get('paramwise_cfg') or {}).items() if k not in DECAY_OPTIONS}
    if custom := paramwise.pop('custom_keys', None):
        names = parameters(cfg['model'], cfg.get('default_scope'))
        kept = {key: value for key, value in custom.items() if _is_for(key, names, decays)}
        paramwise |= dict(custom_keys=kept) if kept else {}
    if has_decay:
        paramwise.update({k: v for k, v in suited.get('paramwise_cfg', {}).items() if k != 'custom_keys'})

    if decays:
        wrapper['constructor'] = suited['constructor']
    else:
        wrapper.pop('constructor', None)

    if paramwise:
        wrapper['paramwise_cfg'] = paramwise
    else:
        wrapper.pop('paramwise_cfg', None)


def _scale_schedule(cfg: dict, factor: float) -> None:
    """Let what the schedule says in numbers, and not as a share of the learning rate, follow it."""
    for scheduler, _ in dicts(cfg.get('param_scheduler') or [], 'param_scheduler'):
        for key in RATES:
            if scheduler.get(key):
                scheduler[key] = float(f'{scheduler[key] * factor:.6g}')


def _is_for(key: str, names: Sequence[str], decays: bool) -> bool:
    """Whether a custom key is about any of the parameters ``names``, as far as they are known.

    ``backbone`` alone slows the whole backbone down, which layer-wise decay does better.
    """
    if key == 'backbone':
        return not decays
    return any(key in name for name in names) if names else not key.startswith('backbone.')


def _changes(old: dict, new: dict) -> dict:
    """What a config sets to make ``new`` of the ``old`` that it inherits."""
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
            # what a config inherits can be taken out in no other way
            changes[key] = dict(_delete_=True) | value

    return changes


def _differences(old: Any, new: Any, path: str = '') -> Iterator[tuple[str, Any, Any]]:
    if _same(old, new):
        return

    nested = isinstance(old, dict) and isinstance(new, dict) and old.get('type') == new.get('type')
    if nested:
        for key in dict.fromkeys((*old, *new)):
            yield from _differences(old.get(key, ABSENT), new.get(key, ABSENT), f'{path}.{key}' if path else key)
    elif isinstance(old, list | tuple) and _holds_dicts(old) and len(old) == len(new):
        for i, parts in enumerate(zip(old, new)):
            yield from _differences(*parts, f'{path}.{i}')
    else:
        yield path, None if old is ABSENT else old, None if new is ABSENT else new


def _holds_dicts(values: Any) -> bool:
    return any(isinstance(value, dict) for value in values)


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and a == b
