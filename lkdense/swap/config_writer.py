"""The text of a config, as one would write it by hand."""

from keyword import iskeyword
from typing import Any

WIDTH = 100


def written(base: str, changes: dict, title: str) -> str:
    """Return the text of a config that inherits from the one at ``base`` and sets ``changes``."""
    lines = [f'{key} = {literal(value, len(key) + 3, 0)}' for key, value in changes.items()]
    return '\n'.join([f'"""{title}"""', '', f'_base_ = {base!r}', *lines, ''])


def literal(value: Any, used: int, indent: int) -> str:
    """Return an expression for ``value``; one that is too long for its line has a line for each entry.

    Args:
        value: dicts, lists and tuples of plain values.
        used: characters before it on its line.
        indent: of the line that it begins on.
    """
    flat = _flat(value)
    if used + len(flat) < WIDTH or not isinstance(value, dict | list | tuple) or not value:
        return flat

    deeper = indent + 4
    if isinstance(value, dict):
        opening, closing, starts = ('dict(', ')', [f'{key}=' for key in value])
        if not _is_call(value):
            opening, closing, starts = ('{', '}', [f'{key!r}: ' for key in value])
        entries = list(zip(starts, value.values()))
    else:
        opening, closing = '[]' if isinstance(value, list) else '()'
        entries = [('', entry) for entry in value]

    body = [f'{" " * deeper}{start}{literal(entry, deeper + len(start) + 1, deeper)},' for start, entry in entries]
    return '\n'.join([opening, *body, ' ' * indent + closing])


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        if _is_call(value):
            return f'dict({", ".join(f"{key}={_flat(entry)}" for key, entry in value.items())})'
        return f'{{{", ".join(f"{key!r}: {_flat(entry)}" for key, entry in value.items())}}}'
    if isinstance(value, list):
        return f'[{", ".join(map(_flat, value))}]'
    if isinstance(value, tuple):
        return f'({", ".join(map(_flat, value))}{"," * (len(value) == 1)})'
    return repr(value)


def _is_call(value: dict) -> bool:
    return all(isinstance(key, str) and key.isidentifier() and not iskeyword(key) for key in value)
