"""Instruments that look at any model: each has ``compute_`` for the figures and ``plot_`` for the picture."""

from .erf import area_ratios, compute_erf, plot_erf

__all__ = ['area_ratios', 'compute_erf', 'plot_erf']
