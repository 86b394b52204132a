"""Kernel-size studies: grids of trainings that differ in nothing but their kernels, and reports on the results."""

from .cell import read_results, run_cell
from .plan import Cell, expand, read_study, write_plan
from .report import write_report
from .schedule import run_here, run_in_cluster

__all__ = [
    'Cell',
    'expand',
    'read_results',
    'read_study',
    'run_cell',
    'run_here',
    'run_in_cluster',
    'write_plan',
    'write_report',
]
