"""Functions on tensors. They import torch and nothing else of this package."""

from .depthwise import BACKENDS, depthwise_conv2d

__all__ = ['BACKENDS', 'depthwise_conv2d']
