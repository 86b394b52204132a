"""Large-kernel convolutional backbones for dense prediction, as plugins of MMEngine.

Importing this package registers its classes, so that ``custom_imports=dict(imports=['lkdense'])`` makes ``type='SLaK'``
known to a config of mmsegmentation or mmdetection; ``type='lkdense.SLaK'`` needs no import line.
"""

from . import engine
from .backbones import ConvNeXt, RepLKNet, SLaK
from .ops import depthwise_conv2d

__version__ = '0.1.0'

__all__ = ['ConvNeXt', 'RepLKNet', 'SLaK', '__version__', 'depthwise_conv2d', 'engine']
