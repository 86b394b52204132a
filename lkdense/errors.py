"""What a user can mend, and how an error is put into a sentence."""

from collections.abc import Sequence

LONGEST = 300  # characters of a message, which has to fit a line of a report


class UserError(Exception):
    """Something that the user can mend, said in one sentence: a command prints it and ends, without a traceback."""


def first_line(error: BaseException) -> str:
    """Return the type of an error and the first line of its message.

    >>> first_line(KeyError('backbone'))
    "KeyError: 'backbone'"
    """
    lines = str(error).strip().splitlines() or ['no message']

    return f'{type(error).__name__}: {lines[0]}'[:LONGEST]


def first_few(items: Sequence[str], most: int, separator: str = ', ') -> str:
    """Return the first ``most`` of ``items`` as one line, and the number of the others.

    >>> first_few(['bird', 'cat', 'dog', 'horse'], most=2)
    'bird, cat, and 2 more'
    """
    shown = list(items[:most])

    if len(items) > most:
        shown.append(f'and {len(items) - most} more')

    return separator.join(shown)
