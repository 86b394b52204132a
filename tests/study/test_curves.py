"""Curves, gains, verdicts and reach, for results whose answers are worked out by hand."""

from itertools import chain

import pytest

from lkdense.study.curves import check_study, compute_curves, compute_gains, compute_probe_curves
from lkdense.study.statistics import NOT_SUPPORTED, SUPPORTED, UNDECIDED, share_of_error

TOP1, MIOU, BOX = 'accuracy/top1', 'mIoU', 'coco/bbox_mAP'
TASKS = {TOP1: ('classification', 'crops'), MIOU: ('segmentation', 'streets'), BOX: ('detection', 'cells')}


def results(metric: str, by_kernel: dict, **others) -> list[dict]:
    """Return results for a dict of kernels, labels that begin with a number, to the values for seeds 0, 1, ..."""
    task, data = TASKS[metric]
    common = {'family': 'net', 'task': task, 'data': data, 'size': None, 'head': None, **others}

    trainings = []
    for kernel, values in by_kernel.items():
        for seed, value in enumerate(values):
            about = {'name': f'{data}-{kernel}-{seed}', 'kernel': kernel, 'reach': int(kernel.split()[0]), 'seed': seed}
            trainings.append({**about, 'strips': 'strips' in kernel, 'metrics': {metric: value}, **common})

    return trainings


def study(*groups: list[dict]) -> dict:
    upstream = {'task': 'classification', 'data': 'crops'}
    return {'study': 'made up', 'upstream': upstream, 'results': list(chain(*groups))}


CLASSIFIERS = results(TOP1, {'31': (60.4, 61.5, 62.3), '7': (60.0, 61.0, 62.0)})


def test_kernels_are_in_order_of_size_and_squares_before_strips():
    (curve,) = compute_curves(study(results(MIOU, {'31 strips': (2,), '7': (1,), '31': (3,), '13': (4,)})))
    assert list(curve.values) == ['7', '13', '31', '31 strips']


def test_a_gain_worked_out_by_hand():
    (gain,) = compute_gains(study(CLASSIFIERS, results(MIOU, {'7': (20, 21, 22), '31': (22.4, 23.5, 24.3)})))

    # The gains are 2.4, 2.5, 2.3 against 0.4, 0.5, 0.3, seed by seed.
    assert (gain.kernel, gain.base) == ('31', '7')
    assert (gain.downstream.mean, gain.upstream.mean) == pytest.approx((2.4, 0.4))
    assert gain.difference == pytest.approx((2, 2, 2, 3))
    assert gain.verdict == SUPPORTED
    assert gain.describe() == (
        'supported for segmentation on streets (net), 31 over 7: +2.4 [2.2, 2.6] mIoU '
        'against +0.4 [0.2, 0.6] top-1, a difference of +2.0 [2.0, 2.0]'
    )


@pytest.mark.parametrize(
    ('larger', 'verdict'),
    [
        ((20.0, 21.0, 22.0), NOT_SUPPORTED),
        # On average this is as much as the classifier gains.
        ((21.4, 20.5, 22.3), UNDECIDED),
        # The mean is far above, but the seeds do not agree.
        ((30.0, 19.0, 29.0), UNDECIDED),
    ],
)
def test_verdicts(larger, verdict):
    (gain,) = compute_gains(study(CLASSIFIERS, results(MIOU, {'7': (20, 21, 22), '31': larger})))
    assert gain.verdict == verdict
    assert gain.describe().startswith(f'{verdict} for segmentation on streets')


def test_gains_in_percent_of_what_was_lacking():
    dense = results(MIOU, {'7': (20.0,) * 3, '31': (28.0,) * 3})
    (gain,) = compute_gains(study(CLASSIFIERS, dense), share_of_error)
    assert gain.downstream.mean == pytest.approx(10)


def test_one_seed_or_no_classifier_leave_it_undecided():
    dense = results(MIOU, {'7': (20,), '31': (25,)})
    (gain,) = compute_gains(study(CLASSIFIERS, dense))
    assert gain.verdict == UNDECIDED
    (gain,) = compute_gains(study(dense))
    assert (gain.verdict, gain.upstream) == (UNDECIDED, None)
    assert gain.describe().endswith('no classifier was trained to compare with')


def test_the_classifier_is_one_of_the_same_family_and_size():
    others = results(TOP1, {'7': (0,) * 3, '31': (90,) * 3}, family='another')
    small = results(TOP1, {'7': (0,) * 3, '31': (50,) * 3}, size='64')
    right = results(TOP1, {'7': (0,) * 3, '31': (1,) * 3}, size=[128, 128])
    dense = results(MIOU, {'7': (0,) * 3, '31': (3,) * 3}, size=[128, 128])
    (gain,) = compute_gains(study(others, small, right, dense))
    assert gain.upstream.mean == 1


def test_the_largest_kernel_is_square_or_strips():
    gains = compute_gains(study(results(MIOU, {'7': (1,), '13': (2,), '51': (3,), '51 strips': (4,)})))
    assert {gain.kernel: gain.largest for gain in gains} == {'13': False, '51': True, '51 strips': True}


def test_map_is_made_percent_and_map_of_no_objects_is_left_out():
    detectors = results(BOX, {'7': (0.25, 0.5)})
    detectors[1]['metrics'][BOX] = -1.0
    (curve,) = compute_curves(study(detectors))
    assert curve.values == {'7': {0: 25.0}}


def test_two_results_for_one_place_are_an_error():
    with pytest.raises(ValueError, match='two results for one kernel, seed and setting'):
        compute_curves(study(CLASSIFIERS, CLASSIFIERS))


def test_a_probe_gives_the_smallest_kernel_for_each_distance():
    def at(distance, by_kernel):
        return results(MIOU, by_kernel, distance=distance, chance=50.0)

    probes = study(
        at(12, {'7': (98, 97, 99), '31': (99, 99, 98)}),
        # On average 7 is above 75, but not with each seed.
        at(24, {'7': (99, 99, 50), '31': (97, 98, 99)}),
        at(96, {'7': (50, 51, 49), '31': (50, 49, 51)}),
    )
    for result in probes['results']:
        result['metrics']['aAcc'] = result['metrics'].pop(MIOU)

    (probe,) = compute_probe_curves(probes)
    assert probe.threshold == 75
    assert probe.smallest_kernels() == {12: '7', 24: '31', 96: None}
    # A probe is not part of the curves, from which the verdicts come.
    assert compute_curves(probes) == compute_gains(probes) == []


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'kernel': None}, 'lacks kernel'),
        ({'task': 'depth'}, "task must be one of classification, segmentation, detection, got 'depth'"),
    ],
)
def test_what_a_result_lacks_is_named(change, message):
    (result,) = results(MIOU, {'7': (1,)})
    for key, value in change.items():
        if value is None:
            del result[key]
        else:
            result[key] = value
    with pytest.raises(ValueError, match=message):
        check_study(study([result]))
