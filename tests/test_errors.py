"""The words of errors."""

import pytest

from lkdense.errors import LONGEST, first_few, first_line


@pytest.mark.parametrize(
    ('error', 'line'),
    [
        (ValueError('kernel must be odd, got 4\nstack of everything'), 'ValueError: kernel must be odd, got 4'),
        (RuntimeError('\n  indented'), 'RuntimeError: indented'),
        (AssertionError(), 'AssertionError: no message'),
    ],
)
def test_the_first_line_of_an_error(error, line):
    assert first_line(error) == line


def test_a_long_line_is_cut():
    assert len(first_line(ValueError('x' * 1000))) == LONGEST


@pytest.mark.parametrize(
    ('items', 'text'),
    [([], ''), (['a'], 'a'), (['a', 'b'], 'a; b'), (['a', 'b', 'c', 'd'], 'a; b; and 2 more')],
)
def test_the_first_few_of_many(items, text):
    assert first_few(items, 2, '; ') == text
