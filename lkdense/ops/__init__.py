"""Functions on tensors. They import torch and nothing else of this package."""

from . import _flops  # noqa: F401  Importing it tells PyTorch's counter about our operators.
from ._linear import linear
from .depthwise import BACKENDS, chosen_backend, depthwise_conv2d, refusals, strips_conv2d

__all__ = ['BACKENDS', 'chosen_backend', 'depthwise_conv2d', 'linear', 'refusals', 'strips_conv2d']
