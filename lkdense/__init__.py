"""Large-kernel convolutional backbones for dense prediction, as plugins of MMEngine.

A network is built in `ops` -> `layers` -> `backbones`, filled from `checkpoints`, fed by `data`, taught in
`training`, asked in `inference` and measured in `analysis`; `swap`, `study` and `serve` are the three things one does
with all of it, and `commands` is the front door.

Importing this package registers its classes, so that ``custom_imports=dict(imports=['lkdense'])`` makes ``type='SLaK'``
known to a config of mmsegmentation or mmdetection; ``type='lkdense.SLaK'`` needs no import line. ``lkdense.ops`` and
``lkdense.layers`` work with torch alone.
"""

from importlib import import_module
from importlib.util import find_spec

from .backbones import FAMILIES

__version__ = '0.1.0'

# Public names, and the rooms that they live in.
_HOMES = {
    'depthwise_conv2d': 'ops',
    'enlarge_kernels': 'layers',
    **dict.fromkeys(FAMILIES, 'backbones'),
    'Enlarged': 'backbones',
    'WithoutShortcuts': 'backbones',
    'ImageClassifier': 'classification',
    'LayerDecayOptimWrapperConstructor': 'training',
    'SparseTrainingHook': 'training',
    'config_path': 'config',
    'get_config': 'config',
}
_WITH_TORCH_ALONE = ('ops', 'layers')
# Importing these rooms puts their classes into MMEngine's registries.
_REGISTERING = (
    *(f'backbones.{module}' for module in FAMILIES.values()),
    'backbones.surgery',
    'checkpoints.mmengine',
    'classification',
    'training',
    'training.distillation',
)

__all__ = sorted([*_HOMES, '__version__'])

if find_spec('mmengine'):
    for _room in _REGISTERING:
        import_module(f'.{_room}', __name__)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')

    room = _HOMES[name]
    if room not in _WITH_TORCH_ALONE and not find_spec('mmengine'):
        raise ImportError(f'lkdense.{name} needs mmengine: pip install --no-build-isolation lkdense[mm]')

    return getattr(import_module(f'.{room}', __name__), name)
