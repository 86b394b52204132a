"""The published figures give the gains that were worked out from the papers by hand, and each has a source."""

from collections import Counter

import numpy as np
import pytest

from lkdense.study.published import load_gains, load_sources

GAINS = load_gains()


def find_gain(sweep: str, metric: str, kernel: str | None = None):
    matching = []
    for gain in GAINS:
        is_wanted = (gain.sweep, gain.metric) == (sweep, metric) and kernel in (None, gain.kernels[1])
        if is_wanted and 'alone' not in gain.data:
            matching.append(gain)

    (only,) = matching
    return only


# Each row is sweep, upstream, mIoU, box AP, mask AP; None stands for what nobody has published.
PAIRS = [
    ('SLaK-T over ConvNeXt-T', 0.4, 1.6, 0.9, 0.6),
    ('SLaK-S over ConvNeXt-S', 0.7, 0.7, None, None),
    ('SLaK-B over ConvNeXt-B', 0.2, 0.9, None, None),
    ('SLaK-B over ConvNeXt-B, as PeLK gives it', 0.2, 1.1, -0.2, -0.1),
    ('RepLKNet-31B over ConvNeXt-B', -0.3, 0.8, -0.5, -0.4),
    ('RepLKNet-31B over Swin-B', 0.0, 1.77, 0.3, 0.2),
    ('PeLK-T over ConvNeXt-T', 0.5, 2.1, 1.0, 0.9),
    ('PeLK-S over ConvNeXt-S', 0.8, 1.0, 0.3, 0.3),
    ('PeLK-B over ConvNeXt-B', 0.4, 1.3, 0.2, 0.3),
    ('PeLK-B 51 to 101', 0.2, 0.2, 0.2, 0.2),
    ('HorNet-T, 7 to global', 0.2, 1.1, 0.7, 0.8),
    ('HorNet-S, 7 to global', 0.2, 0.8, 0.6, 0.7),
    ('HorNet-B, 7 to global', 0.1, 0.5, 0.7, 0.8),
    ('FocalNet-T, small to large field', 0.2, 0.3, 0.4, 0.3),
    ('FocalNet-S, small to large field', 0.1, -0.2, 0.4, 0.2),
    ('FocalNet-B, small to large field', 0.2, 0.3, 0.2, 0.0),
    ('UniRepLKNet-T over WBMM-T', 0.0, 0.3, 0.1, 0.1),
    ('UniRepLKNet-S over WBMM-S', 0.0, 0.3, 0.2, 0.3),
]


@pytest.mark.parametrize(('sweep', 'upstream', 'miou', 'box', 'mask'), PAIRS, ids=[pair[0] for pair in PAIRS])
def test_gains_of_pairs(sweep, upstream, miou, box, mask):
    for metric, expected in {'mIoU': miou, 'box AP': box, 'mask AP': mask}.items():
        if expected is None:
            assert not [gain for gain in GAINS if (gain.sweep, gain.metric) == (sweep, metric)]
        else:
            published = find_gain(sweep, metric)
            assert (published.upstream, published.downstream) == (upstream, expected)


@pytest.mark.parametrize(
    ('sweep', 'kernel', 'upstream', 'downstream'),
    [
        ('RepLKNet 3 to 31', '31-29-27-13', 0.96, 3.12),
        ('RepLKNet 3 to 31', '7-7-7-7', 0.62, 2.00),
        ('MobileNetV2 + parallel 3x3', '9 + parallel 3', 1.33, 3.99),
        ('UniRepLKNet 11 to 15', '3-15-15-15', 0.1, 0.4),
        ('UniRepLKNet, stage 1 from 3 to 13', '13-13-13-13', 0.0, -1.6),
    ],
)
def test_gains_of_sweeps(sweep, kernel, upstream, downstream):
    published = find_gain(sweep, 'mIoU', kernel)
    assert (published.upstream, published.downstream) == (upstream, downstream)


def test_what_was_not_read_in_the_source_is_marked():
    marked = {(gain.sweep, gain.kernels[1]) for gain in GAINS if not gain.verified}
    assert marked == {
        ('RepLKNet 3 to 31', '25-25-25-13'),
        ('RepLKNet 3 to 31', '31-29-27-13'),
        ('SLaK-T over ConvNeXt-T, 120 and 12 epochs', 'SLaK-T 51, 120 epochs'),
    }


def test_pairs_of_networks_are_not_taken_for_sweeps_of_kernels():
    for gain in GAINS:
        assert gain.differs == ('network' if ' over ' in gain.sweep else 'kernel')


def test_every_figure_has_a_source_that_can_be_opened():
    assert all(gain.source and gain.url.startswith('https://') for gain in GAINS)


def test_files_are_whole():
    for source in load_sources():
        rows = source['rows']
        swept = [row for sweep in source['sweeps'] for row in sweep['rows']]
        # A row without a sweep would be shown nowhere, and a sweep is named once.
        assert set(rows) == set(swept), source['title']
        assert max(Counter(sweep['name'] for sweep in source['sweeps']).values()) == 1
        known = {'reach', 'upstream', 'unverified', 'source', 'images_per_second', *source['downstream']}
        known |= {'parameters', 'macs', 'seg_parameters', 'seg_macs'}
        assert all(set(row) <= known for row in rows.values()), source['title']


def above(task: str, metric: str, differs: str, scale) -> list[int]:
    """Return how many of the verified gains are above the diagonal, on it, and below."""
    counts = [0, 0, 0]
    for gain in GAINS:
        if (gain.task, gain.metric, gain.differs, gain.verified) != (task, metric, differs, True):
            continue
        upstream = scale(gain.upstream, gain.upstream_base)
        difference = round(scale(gain.downstream, gain.downstream_base) - upstream, 9)
        counts[1 - int(np.sign(difference))] += 1

    return counts


def test_what_docs_claim_counts():
    def points(gain, base):
        return gain

    def share(gain, base):
        return gain / (100 - base)

    assert above('segmentation', 'mIoU', 'kernel', points) == [21, 2, 2]
    assert above('detection', 'box AP', 'kernel', share) == [4, 0, 3]
    assert above('detection', 'box AP', 'network', share) == [4, 0, 5]
