"""Intervals for a handful of seeds, and the verdict that they allow on the claim about kernel size.

The interval is Student's, for the mean over seeds. A bootstrap would be worse: with three seeds its percentile interval
reaches from the smallest value to the largest, because each of these is the mean of more than 2.5 % of the resamples.
It then contains the mean of a symmetric distribution in 3 of 4 cases, where it promises 95 of 100. Student's interval
contains it in 95, provided that the seeds scatter normally, and with two or three seeds it is wide, as it should be.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from math import inf, nan, sqrt
from typing import NamedTuple

import numpy as np

SUPPORTED, NOT_SUPPORTED, UNDECIDED = 'supported', 'not supported', 'undecided'


class Interval(NamedTuple):
    """A mean, and the range in which the true mean lies; the interval of a single value is infinite."""

    mean: float
    low: float
    high: float
    count: int

    def format(self, decimals: int = 1, signed: bool = False) -> str:
        """Return the interval as ``1.2 [0.3, 2.1]``; ``signed`` writes ``+1.2``, as is usual for a gain."""
        mean = format_number(self.mean, decimals, signed)
        if self.count < 2:
            return f'{mean} (one seed)'
        return f'{mean} [{format_number(self.low, decimals)}, {format_number(self.high, decimals)}]'


def format_number(value: float, decimals: int, signed: bool = False) -> str:
    """Return a number as readers expect it: with a real minus sign, and never as a negative zero."""
    value = round(value, decimals) or 0.0
    sign = '+' if signed else ''
    return f'{value:{sign}.{decimals}f}'.replace('-', '\N{MINUS SIGN}')


@cache
def student_quantile(probability: float, degrees: int) -> float:
    """Return the quantile of Student's t distribution, to about six digits.

    Args:
        probability: in (0, 1).
        degrees: degrees of freedom, 1 or more.
    """
    # Substituting t = sqrt(degrees) * tan(angle) makes the density cos(angle) ** (degrees - 1) on a finite interval.
    angles = np.linspace(-np.pi / 2, np.pi / 2, 200_001)
    density = np.cos(angles) ** (degrees - 1)
    cumulated = np.concatenate([[0], np.cumsum(density[1:] + density[:-1])])

    angle = np.interp(probability, cumulated / cumulated[-1], angles)
    return float(sqrt(degrees) * np.tan(angle))


def mean_interval(values: Iterable[float], confidence: float = 0.95) -> Interval:
    """Return the mean of ``values``, one for each seed, with its Student interval.

    Raises:
        ValueError: there are no values.
    """
    values = np.asarray(list(values), dtype=float)
    if not len(values):
        raise ValueError('an interval needs at least one value, got none')

    count = len(values)
    mean = float(values.mean())
    if count == 1:
        return Interval(mean, -inf, inf, 1)

    standard_error = float(values.std(ddof=1)) / sqrt(count)
    half = student_quantile((1 + confidence) / 2, count - 1) * standard_error
    return Interval(mean, mean - half, mean + half, count)


def paired_differences(values: Mapping[int, float], base: Mapping[int, float]) -> dict[int, float]:
    """Return ``values`` minus ``base`` for the seeds that both have.

    Networks that share nothing but the number of their seed, such as a classifier and a segmentor, may be paired too:
    the differences are still independent draws, and their interval holds what it promises.
    """
    return {seed: value - base[seed] for seed, value in values.items() if seed in base}


def share_of_error(values: Mapping[int, float], base: Mapping[int, float], best: float = 100) -> dict[int, float]:
    """Return the gain of ``values`` over ``base`` in percent of what ``base`` lacked to ``best``, by seed."""
    shares = {}
    for seed, gain in paired_differences(values, base).items():
        error = best - base[seed]
        shares[seed] = 100 * gain / error if error > 0 else nan

    return shares


def judge(downstream: Interval, difference: Interval) -> str:
    """Return the verdict on whether a larger kernel helps the dense task, and more than it helps classification.

    Args:
        downstream: the gain on the dense task.
        difference: that gain minus the gain in classification.

    Returns:
        ``supported`` if both intervals are above zero, ``not supported`` if one is below, else ``undecided``.
    """
    if downstream.low > 0 and difference.low > 0:
        return SUPPORTED
    if downstream.high < 0 or difference.high < 0:
        return NOT_SUPPORTED
    return UNDECIDED
