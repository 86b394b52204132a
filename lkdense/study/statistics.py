"""Intervals for a handful of seeds, and the verdict that they allow on the claim about kernel size.

The interval is Student's, of the mean over seeds. A bootstrap would be no better: of three seeds its percentile
interval reaches from the smallest value to the largest, because each makes up more than 2.5 % of the resamples, and
that holds the mean of a symmetric distribution in 3 of 4 cases where it promises 95 of 100. Student's holds it in 95,
provided that the seeds scatter normally, and with two or three seeds it is wide, as it should be.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from math import inf, nan, sqrt
from typing import NamedTuple

import numpy as np

SUPPORTED, NOT_SUPPORTED, UNDECIDED = 'supported', 'not supported', 'undecided'


class Interval(NamedTuple):
    """A mean and where the true one lies; of a single value nothing is known, and the interval is infinite."""

    mean: float
    low: float
    high: float
    count: int

    def text(self, decimals: int = 1, signed: bool = False) -> str:
        """Write it as ``+1.2 [0.3, 2.1]``, with a sign where it is a gain."""
        mean = number(self.mean, decimals, signed)
        if self.count < 2:
            return f'{mean} (one seed)'
        return f'{mean} [{number(self.low, decimals)}, {number(self.high, decimals)}]'


def number(value: float, decimals: int, signed: bool = False) -> str:
    """Write a number for readers: with a real minus sign, and never a negative zero."""
    value = round(value, decimals) or 0.0
    return f'{value:{"+" if signed else ""}.{decimals}f}'.replace('-', '\N{MINUS SIGN}')


@cache
def student_quantile(probability: float, degrees: int) -> float:
    """Return the quantile of Student's t distribution, to about six digits.

    Args:
        probability: in (0, 1).
        degrees: of freedom, 1 or more.
    """
    # with t = sqrt(degrees) * tan(angle) the density is cos(angle) ** (degrees - 1), on an interval
    angles = np.linspace(-np.pi / 2, np.pi / 2, 200_001)
    density = np.cos(angles) ** (degrees - 1)
    cumulated = np.concatenate([[0], np.cumsum(density[1:] + density[:-1])])
    return float(sqrt(degrees) * np.tan(np.interp(probability, cumulated / cumulated[-1], angles)))


def mean_interval(values: Iterable[float], confidence: float = 0.95) -> Interval:
    """Return the mean of ``values``, one a seed, and Student's interval of it.

    Raises:
        ValueError: no values.
    """
    values = np.asarray(list(values), dtype=float)
    if not len(values):
        raise ValueError('an interval needs at least one value, got none')
    mean = float(values.mean())
    if len(values) == 1:
        return Interval(mean, -inf, inf, 1)
    half = student_quantile((1 + confidence) / 2, len(values) - 1) * float(values.std(ddof=1)) / sqrt(len(values))
    return Interval(mean, mean - half, mean + half, len(values))


def paired(values: Mapping[int, float], base: Mapping[int, float]) -> dict[int, float]:
    """Return ``values`` less ``base`` for the seeds that both have.

    Seeds that have nothing in common, a classifier's and a segmentor's, may be paired too: the differences are still
    independent draws, and their interval holds what it promises.
    """
    return {seed: value - base[seed] for seed, value in values.items() if seed in base}


def share_of_error(values: Mapping[int, float], base: Mapping[int, float], best: float = 100) -> dict[int, float]:
    """Return the gain of ``values`` over ``base`` in percent of what ``base`` lacked to ``best``, by seed."""
    gains = paired(values, base)
    return {seed: 100 * gain / (best - base[seed]) if base[seed] < best else nan for seed, gain in gains.items()}


def judge(downstream: Interval, difference: Interval) -> str:
    """Say whether a larger kernel helps the dense task, and more than it helps classification.

    Args:
        downstream: what it gains on the dense task.
        difference: the same less what it gains in classification.

    Returns:
        ``supported`` if both intervals are above zero, ``not supported`` if one is below, else ``undecided``.
    """
    if downstream.low > 0 and difference.low > 0:
        return SUPPORTED
    if downstream.high < 0 or difference.high < 0:
        return NOT_SUPPORTED
    return UNDECIDED
