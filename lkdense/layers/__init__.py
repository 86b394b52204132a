"""Modules that the backbones are made of."""

from .conv_norm import ConvNorm
from .depthwise import DepthwiseConv2d, KernelSize, kernel_pair
from .drop_path import DropPath, drop_path_rates
from .in_place import GELU
from .large_kernel import DilatedLargeKernel, SquareLargeKernel, StripLargeKernel, StripPair
from .norm import LayerNorm2d
from .pointwise import PointwiseConv2d, PointwiseLinear
from .reparam import Branches, dilate_kernel, merge_branches, pad_kernel
from .response import ResponseProjection
from .squeeze import SqueezeExcitation

__all__ = [
    'GELU',
    'Branches',
    'ConvNorm',
    'DepthwiseConv2d',
    'DilatedLargeKernel',
    'DropPath',
    'KernelSize',
    'LayerNorm2d',
    'PointwiseConv2d',
    'PointwiseLinear',
    'ResponseProjection',
    'SquareLargeKernel',
    'SqueezeExcitation',
    'StripLargeKernel',
    'StripPair',
    'dilate_kernel',
    'drop_path_rates',
    'kernel_pair',
    'merge_branches',
    'pad_kernel',
]
