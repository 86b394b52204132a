"""The configs that come with lkdense, by name: in a clone they lie in ``configs/``, in an installed package inside it.

MMEngine's ``package::path`` inheritance knows OpenMMLab's own packages only.
"""

from difflib import get_close_matches
from pathlib import Path

from mmengine.config import Config

PACKAGE = Path(__file__).resolve().parent
FOLDER = next(
    (path for path in (PACKAGE / 'configs', PACKAGE.parent / 'configs') if path.is_dir()), PACKAGE / 'configs'
)


def config_names() -> list[str]:
    """Return the names of all configs, as :func:`config_path` takes them."""
    names = [path.relative_to(FOLDER).with_suffix('').as_posix() for path in sorted(FOLDER.rglob('*.py'))]
    return [name for name in names if not name.startswith('_')]


def config_path(name: str) -> str:
    """Return the path of a config, such as that of ``upernet_slak_b_ade20k``, to be written into a ``_base_``.

    Raises:
        ValueError: there is none of that name; the message names the nearest.
    """
    path = FOLDER / f'{name.removesuffix(".py")}.py'
    if path.is_file():
        return str(path)
    names = config_names()
    near = get_close_matches(name, names, n=3, cutoff=0.5) or names[:3]
    raise ValueError(f'there is no config {name} among the {len(names)} of lkdense; the nearest are {", ".join(near)}')


def get_config(name: str) -> Config:
    """Return the config of a name, as :func:`config_path` takes it.

    Raises:
        ValueError: there is none of that name.
    """
    return Config.fromfile(config_path(name))
