"""Pretraining as an image classifier; it needs mmengine alone."""

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
