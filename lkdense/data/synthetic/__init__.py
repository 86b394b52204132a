"""Small synthetic data sets in the layouts of ADE20K, Cityscapes, COCO, ImageNet, VOC2012 and VOC2007.

They let a config be tried from end to end where the real data set is not at hand: the usual readers take the files for
the real ones. The images are textured shapes, and only the layout is real: a score on them shows that a model learns,
not how good it is. ``import lkdense`` does not import this package.
"""

from .layouts import LAYOUTS, Layout, SyntheticSet, write_scenes
from .scenes import Scene, make_scene

__all__ = ['LAYOUTS', 'Layout', 'Scene', 'SyntheticSet', 'make_scene', 'write_scenes']
