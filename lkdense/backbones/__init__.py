"""Backbones with four outputs at strides 4, 8, 16 and 32, one architecture a file; and surgery on those of any host.

``FAMILIES`` is the one list of them: ``lkdense`` exports the classes that it names, ``lkdense swap`` offers them and
``lkdense convert`` recognises their checkpoints. Modules are imported when a name is first asked for, so that the list
can be read without MMEngine.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .base import StagedBackbone

# Class of each backbone, and its module. A checkpoint goes to the first family whose arguments explain it: a square
# kernel with a small one beside it is the same layer in ConvNeXt and in SLaK.
FAMILIES = {
    'ConvNeXt': 'convnext',
    'SLaK': 'slak',
    'RepLKNet': 'replknet',
    'UniRepLKNet': 'unireplknet',
}
_HOMES = {**FAMILIES, 'Enlarged': 'surgery', 'StagedBackbone': 'base', 'WithoutShortcuts': 'surgery'}

__all__ = sorted(_HOMES)


def families() -> list[type['StagedBackbone']]:
    """Return the classes of all backbones, in the order of ``FAMILIES``.

    >>> families()[0].__name__
    'ConvNeXt'
    """
    return [getattr(import_module(f'.{module}', __name__), name) for name, module in FAMILIES.items()]


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')

    return getattr(import_module(f'.{_HOMES[name]}', __name__), name)
