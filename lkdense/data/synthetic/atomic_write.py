"""Write a generated data set whole or not at all, and never over files that were not generated."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

MARKER = 'synthetic.json'


def write_atomically(folder: Path, description: dict, write: Callable[[Path], None], overwrite: bool = False) -> bool:
    """Write a set beside ``folder`` and move it there at the end; return False if an equal one was there already.

    Args:
        folder: the folder of the set.
        description: everything that decides its content; two sets with the same description count as equal.
        write: called with the folder to write into.
        overwrite: replace a set with another description.

    Raises:
        FileExistsError: other files are in the way.

    >>> from tempfile import TemporaryDirectory
    >>> def write_numbers(folder):
    ...     (folder / 'one.txt').write_text('1')
    >>> with TemporaryDirectory() as root:
    ...     folder = Path(root, 'numbers')
    ...     write_atomically(folder, {'count': 1}, write_numbers)
    ...     write_atomically(folder, {'count': 1}, write_numbers)
    ...     sorted(path.name for path in folder.iterdir())
    True
    False
    ['one.txt', 'synthetic.json']
    """
    # JSON turns tuples into lists, so what is compared must have been through it too.
    description = json.loads(json.dumps(description))
    if _is_there(folder, description, overwrite):
        return False

    partial = folder.with_name(f'.{folder.name}.partial')
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        write(partial)
        (partial / MARKER).write_text(json.dumps(description, indent=1) + '\n')
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)

    return True


def _is_there(folder: Path, description: dict, overwrite: bool) -> bool:
    """Return whether this very set is at ``folder``; raise an error if something is there that must stay."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False

    marker = folder / MARKER
    if not marker.is_file():
        raise FileExistsError(f'{folder} holds files that are not a synthetic set (no {MARKER}); choose another place')

    existing = json.loads(marker.read_text())
    if existing != description and not overwrite:
        differences = []
        for key, value in description.items():
            if existing.get(key) != value:
                differences.append(f'{key}: {existing.get(key)} there, {value} asked for')
        raise FileExistsError(
            f'{folder} holds another synthetic set ({"; ".join(differences)}); overwrite it, or choose another place'
        )

    return existing == description
