"""Everything in a model's config that reads the maps of its backbone, and the widths that it expects."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from .feature_maps import Maps, SwapError, listed, maps_after

# what mmseg and mmdet call the widths that a module reads
WIDTHS = ('in_channels', 'in_channel', 'c1_in_channels')
# necks whose outputs begin with their inputs
PASSING_ON = ('SSDNeck',)


def follow(model: dict, path: str, old: Maps, new: Maps, scope: str | None, given: Mapping[str, Any]) -> None:
    """Change, in place, the widths that the necks and heads of ``model`` expect, from ``old`` to ``new``.

    Args:
        model: the part of a config that holds backbone, neck and heads.
        path: where it stands in the config, for errors and for ``given``.
        old: the maps of the backbone that was there.
        new: those of the one that is there now, as many.
        scope: ``mmseg`` or ``mmdet``.
        given: dotted path to the value that the user wants there.

    Raises:
        SwapError: a width cannot be told, or a part of the old backbone is used elsewhere.
    """
    for neck, where in _parts(model, 'neck', path):
        before = deepcopy(neck)
        _rewire(neck, where, old, new, given)
        # maps that are as wide as they were leave nothing to change behind them
        old = maps_after(before, old, scope)
        try:
            new = maps_after(neck, new, scope)
        except SwapError as error:
            raise SwapError('fails', f'with the new widths {error}') from error

    if old.widths == new.widths:
        return

    _read_one_map(model.get('decode_head'), old, new)
    for key in model:
        if key.endswith('head') and not key.startswith('teacher'):
            for head, where in _parts(model, key, path):
                _rewire_head(head, where, old, new, given)


def dicts(cfg: Any, path: str) -> Iterator[tuple[dict, str]]:
    """Return ``cfg`` and every dict inside, the outer ones first, each with its dotted path."""
    if isinstance(cfg, dict):
        yield cfg, path
    for key, value in cfg.items() if isinstance(cfg, dict) else enumerate(cfg):
        if isinstance(value, dict | list | tuple):
            yield from dicts(value, f'{path}.{key}')


def _parts(model: dict, key: str, path: str) -> list[tuple[dict, str]]:
    value = model.get(key)
    if isinstance(value, list | tuple):
        return [(part, f'{path}.{key}.{i}') for i, part in enumerate(value)]
    return [(value, f'{path}.{key}')] if value else []


def _read_one_map(heads: Any, old: Maps, new: Maps) -> None:
    """Let heads that go on from one another, as OCRNet's do, read the last one's map, if theirs now differ in size."""
    if not isinstance(heads, list | tuple) or not all(isinstance(head.get('in_index', -1), int) for head in heads):
        return
    indices = [head.get('in_index', -1) for head in heads]
    if len({old.strides[i] for i in indices}) == 1 < len({new.strides[i] for i in indices}):
        for head in heads:
            head.update(in_index=indices[-1], in_channels=old.widths[indices[-1]])


def _rewire_head(head: dict, path: str, old: Maps, new: Maps, given: Mapping[str, Any]) -> None:
    if head.get('shared_head'):
        raise SwapError(
            'a stage of the old backbone in a head',
            f'{path}.shared_head is a {head["shared_head"].get("type")}, a stage of the old backbone that goes on from '
            'its maps; a detector with a neck has none',
        )

    for part, where in dicts(head, path):
        # deeper in a head, only what names the maps that it reads does read them
        if part is head or 'in_index' in part:
            _rewire(part, where, old, new, given)
        # without a neck, boxes are cut out of the backbone's own map
        for extractor, inner in (
            (key, part[key]) for key in part if key.endswith('_roi_extractor') and isinstance(part[key], dict)
        ):
            for module, width, name in ((inner, 'out_channels', extractor), *_after_roi(part, extractor)):
                module[width] = _translated(module, width, f'{where}.{name}', old, new, given)


def _after_roi(roi_head: dict, extractor: str) -> Iterator[tuple[dict, str, str]]:
    name = extractor.replace('roi_extractor', 'head')
    if 'in_channels' in roi_head.get(name, {}):
        yield roi_head[name], 'in_channels', name


def _rewire(reader: dict, path: str, old: Maps, new: Maps, given: Mapping[str, Any]) -> None:
    inputs = reader.get('in_channels')
    for key in WIDTHS:
        if key in reader:
            reader[key] = _translated(reader, key, path, old, new, given)
    if reader.get('type') in PASSING_ON:
        reader['out_channels'] = (*reader['in_channels'], *reader['out_channels'][len(inputs) :])
    # without convolutions a head hands on what it reads
    if reader.get('num_convs') == 0 and reader.get('channels') == inputs:
        reader['channels'] = reader['in_channels']


def _translated(reader: dict, key: str, path: str, old: Maps, new: Maps, given: Mapping[str, Any]) -> Any:
    if f'{path}.{key}' in given:
        return given[f'{path}.{key}']

    widths = _several(reader[key])
    indices = _several(reader['in_index']) if key == 'in_channels' and 'in_index' in reader else range(len(old.widths))
    found = _by_place(widths, indices, old, new) or [_by_width(width, old, new) for width in widths]
    if None in found:
        raise SwapError(
            'undecided',
            f'{path}.{key} is {reader[key]}, where the maps that it may read have {listed(old.widths)} channels, which '
            f'become {listed(new.widths)}: name what it should be with --set {path}.{key}=...',
        )

    return type(reader[key])(found) if isinstance(reader[key], list | tuple) else found[0]


def _several(value: Any) -> list:
    return list(value) if isinstance(value, list | tuple) else [value]


def _by_place(widths: Sequence[int], indices: Sequence[int], old: Maps, new: Maps) -> list[int]:
    """The new widths at ``indices``, if the old ones there are ``widths``; otherwise none."""
    inside = all(-len(old.widths) <= i < len(old.widths) for i in indices)
    if inside and [old.widths[i] for i in indices] == list(widths):
        return [new.widths[i] for i in indices]
    return []


def _by_width(width: int, old: Maps, new: Maps) -> int | None:
    """The new width of the map, or maps, that had ``width``, if there is one answer."""
    found = {after for before, after in zip(old.widths, new.widths) if before == width}
    return found.pop() if len(found) == 1 else None
