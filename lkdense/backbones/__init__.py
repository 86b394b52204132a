"""Backbones with four outputs at strides 4, 8, 16 and 32, one architecture a file; and those of any host, altered."""

from .base import StagedBackbone
from .convnext import ConvNeXt
from .replknet import RepLKNet
from .slak import SLaK
from .surgery import Enlarged, WithoutShortcuts
from .unireplknet import UniRepLKNet

__all__ = ['ConvNeXt', 'Enlarged', 'RepLKNet', 'SLaK', 'StagedBackbone', 'UniRepLKNet', 'WithoutShortcuts']
