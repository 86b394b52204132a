"""Measuring tools for any model: ``compute_`` and ``measure_`` functions return numbers, ``plot_`` functions draw."""

from .complexity import Cost, compute_cost, count_parameters, measure_run, whole_pass, zero_at_random
from .erf import area_ratios, compute_both, compute_erf, plot_erf, stage_map

__all__ = [
    'Cost',
    'area_ratios',
    'compute_both',
    'compute_cost',
    'compute_erf',
    'count_parameters',
    'measure_run',
    'plot_erf',
    'stage_map',
    'whole_pass',
    'zero_at_random',
]
