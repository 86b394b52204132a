"""Modules that the backbones are made of."""

from .conv_norm import ConvNorm
from .depthwise import DepthwiseConv2d, KernelSize, kernel_pair
from .drop_path import DropPath, drop_path_rates
from .enlarge import enlarge_kernels
from .global_response_norm import GRNProjection
from .in_place import GELU
from .large_kernel import DilatedLargeKernel, SquareLargeKernel, StripLargeKernel, StripPair
from .norm import LayerNorm2d
from .pointwise import PointwiseConv2d, PointwiseLinear
from .reparam import Branches, Mergeable, dilate_kernel, merge_branches, pad_kernel
from .squeeze_excitation import SqueezeExcitation

__all__ = [
    'GELU',
    'Branches',
    'ConvNorm',
    'DepthwiseConv2d',
    'DilatedLargeKernel',
    'DropPath',
    'GRNProjection',
    'KernelSize',
    'LayerNorm2d',
    'Mergeable',
    'PointwiseConv2d',
    'PointwiseLinear',
    'SquareLargeKernel',
    'SqueezeExcitation',
    'StripLargeKernel',
    'StripPair',
    'dilate_kernel',
    'drop_path_rates',
    'enlarge_kernels',
    'kernel_pair',
    'merge_branches',
    'pad_kernel',
]
