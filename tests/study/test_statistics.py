"""Intervals with three seeds hold what they promise, and the verdict follows from them."""

from itertools import product

import numpy as np
import pytest

from lkdense.study.statistics import (
    NOT_SUPPORTED,
    SUPPORTED,
    UNDECIDED,
    Interval,
    format_number,
    judge,
    mean_interval,
    paired_differences,
    share_of_error,
    student_quantile,
)


# The quantiles are those of printed tables of Student's distribution.
@pytest.mark.parametrize(
    ('probability', 'degrees', 'quantile'),
    [(0.975, 1, 12.7062), (0.975, 2, 4.30265), (0.95, 5, 2.01505), (0.975, 30, 2.04227), (0.5, 3, 0.0)],
)
def test_quantiles_are_those_of_the_tables(probability, degrees, quantile):
    assert student_quantile(probability, degrees) == pytest.approx(quantile, rel=1e-5, abs=1e-8)


def test_an_interval_computed_by_hand():
    # The deviation of 1, 2, 3 is 1, so half of the interval is 4.30265 / sqrt(3).
    mean, low, high, count = mean_interval([1, 2, 3])
    assert (mean, count) == (2, 3)
    assert (low, high) == pytest.approx((2 - 2.48414, 2 + 2.48414), rel=1e-5)


@pytest.mark.parametrize('count', [2, 3, 5])
def test_95_of_100_intervals_hold_the_mean(count):
    draws = np.random.default_rng(0).normal(7, 2, (5000, count))
    intervals = [mean_interval(values) for values in draws]
    # Three standard errors of the share are 0.01.
    assert np.mean([low <= 7 <= high for _, low, high, _ in intervals]) == pytest.approx(0.95, abs=0.01)


def test_a_bootstrap_of_three_seeds_would_hold_it_in_3_of_4():
    draws = np.random.default_rng(0).normal(7, 2, (5000, 3))
    resamples = np.mean([draws[:, list(chosen)] for chosen in product(range(3), repeat=3)], axis=2)
    low, high = np.quantile(resamples, [0.025, 0.975], axis=0, method='inverted_cdf')
    np.testing.assert_array_equal(low, np.mean([draws.min(1)] * 3, axis=0))
    assert np.mean((low <= 7) & (high >= 7)) == pytest.approx(0.75, abs=0.02)


def test_one_seed_tells_nothing():
    interval = mean_interval([3.0])
    assert (interval.low, interval.high) == (-np.inf, np.inf)
    assert interval.format(signed=True) == '+3.0 (one seed)'
    assert judge(interval, interval) == UNDECIDED


def test_no_values_are_an_error():
    with pytest.raises(ValueError, match='at least one value'):
        mean_interval([])


def test_only_seeds_that_both_have_are_paired():
    assert paired_differences({0: 5.0, 1: 6.0, 2: 7.0}, {1: 5.5, 2: 5.0, 3: 1.0}) == {1: 0.5, 2: 2.0}


def test_a_share_of_the_error():
    # In RepLKNet's own sweep from 3 to 31 the dense task gains three times the points, but nearly the same share.
    assert share_of_error({0: 83.07}, {0: 82.11})[0] == pytest.approx(5.37, abs=0.005)
    assert share_of_error({0: 49.17}, {0: 46.05})[0] == pytest.approx(5.78, abs=0.005)


@pytest.mark.parametrize(
    ('downstream', 'difference', 'verdict'),
    [
        ((1, 3), (0.5, 2), SUPPORTED),
        ((1, 3), (-0.5, 2), UNDECIDED),
        ((1, 3), (-2, -0.5), NOT_SUPPORTED),
        # Both lose by a larger kernel, the dense task less, and that is no benefit.
        ((-3, -1), (0.5, 2), NOT_SUPPORTED),
        ((-1, 3), (0.5, 2), UNDECIDED),
    ],
)
def test_the_verdict_follows_from_the_intervals(downstream, difference, verdict):
    intervals = [Interval(sum(ends) / 2, *ends, 3) for ends in (downstream, difference)]
    assert judge(*intervals) == verdict


@pytest.mark.parametrize(('value', 'text'), [(1.25, '+1.2'), (-1.26, '-1.3'), (-0.01, '+0.0')])
def test_numbers_are_written_for_readers(value, text):
    assert format_number(value, 1, signed=True) == text.replace('-', '\N{MINUS SIGN}')
