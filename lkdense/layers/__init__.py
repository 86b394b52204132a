"""Modules that the backbones are made of."""

from .conv_norm import ConvNorm
from .depthwise import DepthwiseConv2d, KernelSize, kernel_pair
from .drop_path import DropPath, drop_path_rates
from .large_kernel import SquareLargeKernel, StripLargeKernel, StripPair
from .norm import LayerNorm2d
from .pointwise import PointwiseLinear
from .reparam import merge_branches

__all__ = [
    'ConvNorm',
    'DepthwiseConv2d',
    'DropPath',
    'KernelSize',
    'LayerNorm2d',
    'PointwiseLinear',
    'SquareLargeKernel',
    'StripLargeKernel',
    'StripPair',
    'drop_path_rates',
    'kernel_pair',
    'merge_branches',
]
