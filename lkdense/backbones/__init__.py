"""Backbones with four outputs at strides 4, 8, 16 and 32, one architecture a file."""

from .base import StagedBackbone
from .convnext import ConvNeXt
from .replknet import RepLKNet
from .slak import SLaK
from .unireplknet import UniRepLKNet

__all__ = ['ConvNeXt', 'RepLKNet', 'SLaK', 'StagedBackbone', 'UniRepLKNet']
