"""Large-kernel convolutional backbones for dense prediction, as plugins of MMEngine.

Importing this package registers its classes, so that ``custom_imports=dict(imports=['lkdense'])`` makes ``type='SLaK'``
known to a config of mmsegmentation or mmdetection; ``type='lkdense.SLaK'`` needs no import line. ``lkdense.ops`` and
``lkdense.layers`` work with torch alone.
"""

from importlib.util import find_spec

from .layers import enlarge_kernels
from .ops import depthwise_conv2d

__version__ = '0.1.0'

__all__ = [
    'ConvNeXt',
    'Enlarged',
    'ImageClassifier',
    'LayerDecayOptimWrapperConstructor',
    'RepLKNet',
    'SLaK',
    'SparseTrainingHook',
    'UniRepLKNet',
    'WithoutShortcuts',
    '__version__',
    'config_path',
    'depthwise_conv2d',
    'distillation',
    'engine',
    'enlarge_kernels',
    'get_config',
]

if find_spec('mmengine'):
    from . import distillation, engine
    from .backbones import ConvNeXt, Enlarged, RepLKNet, SLaK, UniRepLKNet, WithoutShortcuts
    from .classification import ImageClassifier
    from .config import config_path, get_config
    from .engine import LayerDecayOptimWrapperConstructor, SparseTrainingHook
else:

    def __getattr__(name: str):
        if name in __all__:
            raise ImportError(f'lkdense.{name} needs mmengine: pip install --no-build-isolation lkdense[mm]')
        raise AttributeError(f"module 'lkdense' has no attribute {name!r}")
