"""The text of a config, as one would write it by hand."""

from collections.abc import Iterable
from itertools import repeat
from keyword import iskeyword
from typing import Any

LONGEST_LINE = 100  # characters
INDENT = 4  # spaces


def render_config(base: str, changes: dict, title: str) -> str:
    """Return the text of a config that inherits from the one at ``base`` and sets ``changes``.

    >>> print(render_config('r50.py', dict(model=dict(neck=dict(in_channels=[83, 166]))), 'FPN on SLaK.'), end='')
    \"""FPN on SLaK.\"""
    <BLANKLINE>
    _base_ = 'r50.py'
    model = dict(neck=dict(in_channels=[83, 166]))
    """
    lines = [f'"""{title}"""', '', f'_base_ = {base!r}']
    for key, value in changes.items():
        lines.append(f'{key} = {render_value(value, len(key) + 3, 0)}')

    return '\n'.join(lines) + '\n'


def render_value(value: Any, used: int, indent: int) -> str:
    """Return an expression for ``value``. One that is too long for its line has a line for each entry.

    Args:
        value: a plain value, or dicts, lists and tuples of plain values.
        used: the number of characters before the value on its line.
        indent: the indentation of the line that the value begins on, in spaces.
    """
    one_line = _on_one_line(value)
    if used + len(one_line) < LONGEST_LINE or not isinstance(value, dict | list | tuple) or not value:
        return one_line

    opening, closing, entries = _parts(value)
    deeper = indent + INDENT
    lines = [opening]
    for start, entry in entries:
        lines.append(f'{" " * deeper}{start}{render_value(entry, deeper + len(start) + 1, deeper)},')

    lines.append(' ' * indent + closing)
    return '\n'.join(lines)


def _on_one_line(value: Any) -> str:
    if not isinstance(value, dict | list | tuple):
        return repr(value)

    opening, closing, entries = _parts(value)
    body = ', '.join(f'{start}{_on_one_line(entry)}' for start, entry in entries)
    # The comma makes a tuple of one entry.
    comma = ',' if isinstance(value, tuple) and len(value) == 1 else ''
    return f'{opening}{body}{comma}{closing}'


def _parts(value: dict | list | tuple) -> tuple[str, str, Iterable[tuple[str, Any]]]:
    """Return the opening and the closing of a literal, and its entries, each with the text that stands before it."""
    if not isinstance(value, dict):
        opening, closing = '[]' if isinstance(value, list) else '()'
        return opening, closing, zip(repeat(''), value)
    if _has_keyword_names(value):
        return 'dict(', ')', [(f'{key}=', entry) for key, entry in value.items()]
    return '{', '}', [(f'{key!r}: ', entry) for key, entry in value.items()]


def _has_keyword_names(value: dict) -> bool:
    """Return whether every key could be a keyword argument, so that ``dict(key=...)`` can be written."""
    return all(isinstance(key, str) and key.isidentifier() and not iskeyword(key) for key in value)
