"""A set that was made, on disk: whole or not at all, and never in the place of one that was not made."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

MARKER = 'synthetic.json'


def write_whole(folder: Path, description: dict, write: Callable[[Path], None], overwrite: bool = False) -> bool:
    """Write a set beside ``folder`` and move it there at the end; return False if an equal one was there already.

    Args:
        folder: of the set.
        description: all that decides its content; sets with equal ones are taken for equal.
        write: gets the folder to write into.
        overwrite: replace a set with another description.

    Raises:
        FileExistsError: other files are in the way.
    """
    # as it will be read back
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
    """Whether this very set is at ``folder``; an error if something is there that must stay."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False

    marker = folder / MARKER
    if not marker.is_file():
        raise FileExistsError(f'{folder} holds files that are not a synthetic set (no {MARKER}); choose another place')

    found = json.loads(marker.read_text())
    if found != description and not overwrite:
        differ = [f'{k}: {found.get(k)} there, {v} asked for' for k, v in description.items() if found.get(k) != v]
        raise FileExistsError(
            f'{folder} holds another synthetic set ({"; ".join(differ)}); overwrite it, or choose another place'
        )

    return found == description
