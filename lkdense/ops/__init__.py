"""Functions on tensors. They import torch and nothing else of this package."""

from .depthwise import BACKENDS, chosen_backend, depthwise_conv2d, strips_conv2d

__all__ = ['BACKENDS', 'chosen_backend', 'depthwise_conv2d', 'strips_conv2d']
