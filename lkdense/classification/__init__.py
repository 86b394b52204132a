"""Pretraining as an image classifier, for which mmengine is enough."""

from .accuracy import Accuracy
from .classifier import ImageClassifier
from .image_folder import ImageFolder
from .transforms import (
    CenterCrop,
    LoadImage,
    Normalize,
    RandAugment,
    RandomErasing,
    RandomFlip,
    RandomResizedCrop,
    ResizeEdge,
)

__all__ = [
    'Accuracy',
    'CenterCrop',
    'ImageClassifier',
    'ImageFolder',
    'LoadImage',
    'Normalize',
    'RandAugment',
    'RandomErasing',
    'RandomFlip',
    'RandomResizedCrop',
    'ResizeEdge',
]
