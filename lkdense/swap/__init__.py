"""Another backbone in any config of mmsegmentation or mmdetection.

Nothing is looked up in tables of backbones or heads, but for those of mmpretrain where it is not installed: the old
backbone is built and run for the strides and widths of its maps, ours for its own, and all that reads them is followed
from there, a neck by running it too.
"""

from .config_writer import written
from .feature_maps import Maps, SwapError
from .rewrite import Choices, Swap, read, swap_backbone
from .smoke_test import cost_table, inner, optimizer_fails, try_out

__all__ = [
    'Choices',
    'Maps',
    'Swap',
    'SwapError',
    'cost_table',
    'inner',
    'optimizer_fails',
    'read',
    'swap_backbone',
    'try_out',
    'written',
]
