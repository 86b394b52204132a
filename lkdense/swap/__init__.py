"""Another backbone in any config of mmsegmentation or mmdetection.

Strides and widths are measured rather than looked up in tables, except those of mmpretrain's backbones where it is not
installed: the old backbone and ours are built and run, and every reader of their maps is followed from there; a neck is
run, too, for the maps that it hands on.
"""

from .config_writer import render_config
from .feature_maps import Maps, SwapError
from .rewrite import Swap, SwapOptions, read_host_config, swap_backbone
from .smoke_test import compare_costs, find_optimizer_error, run_smoke_test, unwrap_detector

__all__ = [
    'Maps',
    'Swap',
    'SwapError',
    'SwapOptions',
    'compare_costs',
    'find_optimizer_error',
    'read_host_config',
    'render_config',
    'run_smoke_test',
    'swap_backbone',
    'unwrap_detector',
]
