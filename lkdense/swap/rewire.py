"""Everything in a model's config that reads the maps of its backbone, and the widths that it expects."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from .feature_maps import Maps, SwapError, comma_separated, measure_neck

# Arguments of mmseg's and mmdet's modules for the widths that they read.
WIDTH_KEYS = ('in_channels', 'in_channel', 'c1_in_channels')
# The outputs of these necks begin with their inputs.
PASSING_ON = ('SSDNeck',)


def rewire_readers(
    model: dict, path: str, old: Maps, new: Maps, scope: str | None, chosen_widths: Mapping[str, Any]
) -> None:
    """Change, in place, the widths that the necks and heads of ``model`` expect, from ``old`` to ``new``.

    Args:
        model: the part of a config that holds backbone, neck and heads.
        path: the place of that part in the config, for errors and for ``chosen_widths``.
        old: the maps of the backbone that was there.
        new: the maps of the backbone that is there now, as many.
        scope: ``mmseg`` or ``mmdet``.
        chosen_widths: dotted path to the value that the user wants there.

    Raises:
        SwapError: a width cannot be told, or a part of the old backbone is used elsewhere.
    """
    for neck, neck_path in _parts_of(model, 'neck', path):
        old_neck = deepcopy(neck)
        _rewire(neck, neck_path, old, new, chosen_widths)

        old = measure_neck(old_neck, old, scope)
        try:
            new = measure_neck(neck, new, scope)
        except SwapError as error:
            raise SwapError('fails', f'with the new widths {error}') from error

    # Maps of the same widths as before leave nothing to change behind them.
    if old.widths == new.widths:
        return

    _read_one_map(model.get('decode_head'), old, new)
    for key in model:
        if key.endswith('head') and not key.startswith('teacher'):
            for head, head_path in _parts_of(model, key, path):
                _rewire_head(head, head_path, old, new, chosen_widths)


def dicts_with_paths(cfg: Any, path: str) -> Iterator[tuple[dict, str]]:
    """Yield ``cfg`` and every dict inside, the outer ones first, each with its dotted path."""
    if isinstance(cfg, dict):
        yield cfg, path

    entries = cfg.items() if isinstance(cfg, dict) else enumerate(cfg)
    for key, value in entries:
        if isinstance(value, dict | list | tuple):
            yield from dicts_with_paths(value, f'{path}.{key}')


def _parts_of(model: dict, key: str, path: str) -> list[tuple[dict, str]]:
    """Return the neck or heads under ``key``, one or several, each with its dotted path."""
    value = model.get(key)
    if isinstance(value, list | tuple):
        return [(part, f'{path}.{key}.{i}') for i, part in enumerate(value)]
    return [(value, f'{path}.{key}')] if value else []


def _read_one_map(heads: Any, old: Maps, new: Maps) -> None:
    """Let heads that go on from one another, as OCRNet's do, read the last one's map, if theirs now differ in size."""
    if not isinstance(heads, list | tuple) or not all(isinstance(head.get('in_index', -1), int) for head in heads):
        return

    indices = [head.get('in_index', -1) for head in heads]
    old_strides = {old.strides[i] for i in indices}
    new_strides = {new.strides[i] for i in indices}
    if len(old_strides) == 1 < len(new_strides):
        for head in heads:
            head.update(in_index=indices[-1], in_channels=old.widths[indices[-1]])


def _rewire_head(head: dict, path: str, old: Maps, new: Maps, chosen_widths: Mapping[str, Any]) -> None:
    if head.get('shared_head'):
        raise SwapError(
            'a stage of the old backbone in a head',
            f'{path}.shared_head is a {head["shared_head"].get("type")}, a stage of the old backbone that goes on from '
            'its maps; a detector with a neck has none',
        )

    for part, part_path in dicts_with_paths(head, path):
        # Deeper in a head, a part reads the backbone's maps only if it names the maps that it reads.
        if part is head or 'in_index' in part:
            _rewire(part, part_path, old, new, chosen_widths)

        # Without a neck, boxes are cut out of the backbone's own map.
        for key, extractor in part.items():
            if key.endswith('_roi_extractor') and isinstance(extractor, dict):
                _rewire_roi(part, key, part_path, old, new, chosen_widths)


def _rewire_roi(
    roi_head: dict, extractor: str, path: str, old: Maps, new: Maps, chosen_widths: Mapping[str, Any]
) -> None:
    """Change the width of a RoI extractor and of the head that reads what it cuts out."""
    readers = [(extractor, 'out_channels')]
    head = extractor.replace('roi_extractor', 'head')
    if 'in_channels' in roi_head.get(head, {}):
        readers.append((head, 'in_channels'))

    for name, key in readers:
        reader = roi_head[name]
        reader[key] = _new_widths(reader, key, f'{path}.{name}', old, new, chosen_widths)


def _rewire(reader: dict, path: str, old: Maps, new: Maps, chosen_widths: Mapping[str, Any]) -> None:
    inputs = reader.get('in_channels')
    for key in WIDTH_KEYS:
        if key in reader:
            reader[key] = _new_widths(reader, key, path, old, new, chosen_widths)

    if reader.get('type') in PASSING_ON:
        reader['out_channels'] = (*reader['in_channels'], *reader['out_channels'][len(inputs) :])

    # Without convolutions a head hands on what it reads.
    if reader.get('num_convs') == 0 and reader.get('channels') == inputs:
        reader['channels'] = reader['in_channels']


def _new_widths(reader: dict, key: str, path: str, old: Maps, new: Maps, chosen_widths: Mapping[str, Any]) -> Any:
    """Return the value for the argument ``key`` of a module that reads the maps ``new`` in place of ``old``."""
    if f'{path}.{key}' in chosen_widths:
        return chosen_widths[f'{path}.{key}']

    old_widths = _to_list(reader[key])
    indices = range(len(old.widths))
    if key == 'in_channels' and 'in_index' in reader:
        indices = _to_list(reader['in_index'])

    new_widths = _match_by_place(old_widths, indices, old, new)
    if not new_widths:
        new_widths = [_match_by_width(width, old, new) for width in old_widths]

    if None in new_widths:
        raise SwapError(
            'undecided',
            f'{path}.{key} is {reader[key]}, where the maps that it may read have {comma_separated(old.widths)} '
            f'channels, which become {comma_separated(new.widths)}: name what it should be with --set {path}.{key}=...',
        )

    return type(reader[key])(new_widths) if isinstance(reader[key], list | tuple) else new_widths[0]


def _to_list(value: Any) -> list:
    return list(value) if isinstance(value, list | tuple) else [value]


def _match_by_place(widths: Sequence[int], indices: Sequence[int], old: Maps, new: Maps) -> list[int]:
    """Return the new widths at ``indices``, if the old ones there are ``widths``; otherwise none."""
    inside = all(-len(old.widths) <= i < len(old.widths) for i in indices)
    if inside and [old.widths[i] for i in indices] == list(widths):
        return [new.widths[i] for i in indices]

    return []


def _match_by_width(width: int, old: Maps, new: Maps) -> int | None:
    """Return the new width of the map, or maps, that had ``width``, if there is one answer."""
    matches = {new_width for old_width, new_width in zip(old.widths, new.widths) if old_width == width}
    return matches.pop() if len(matches) == 1 else None
