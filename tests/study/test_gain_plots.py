"""The labels of a crowded figure can be told apart, and each stands by one point."""

from itertools import combinations

import pytest

from lkdense.study.curves import Gain, Setting
from lkdense.study.gain_plots import plot_gains
from lkdense.study.published import load_gains
from lkdense.study.statistics import SUPPORTED, Interval


@pytest.mark.parametrize('share', [False, True])
@pytest.mark.parametrize(('task', 'metric', 'panels'), [('segmentation', 'mIoU', 2), ('detection', 'box AP', 1)])
def test_every_sweep_is_named_once_and_no_text_lies_on_another(task, metric, panels, share):
    gains = [gain for gain in load_gains() if (gain.task, gain.metric) == (task, metric)]
    sweeps = dict.fromkeys(gain.sweep for gain in gains)
    numbers = {sweep: number for number, sweep in enumerate(sweeps, 1)}
    figure = plot_gains(task, gains, numbers, share=share)
    # A crowd of points is enlarged in a second panel.
    assert len(figure.axes) == panels

    names = []
    for axes in figure.axes:
        notes = [text for text in axes.texts if text.get_text()]
        boxes = [note.get_window_extent() for note in notes]
        assert not any(first.overlaps(second) for first, second in combinations(boxes, 2))

        for note, box in zip(notes, boxes):
            names += note.get_text().split(' and ')
            assert all(axes.bbox.contains(*corner) for corner in box.corners())

    variants = {(gain.sweep, gain.data) for gain in gains}
    assert variants and len(names) == len(set(names)) == len(variants)


@pytest.mark.parametrize(('upstream', 'panel'), [(0.3, 1), (9.0, 0)])
def test_a_measured_gain_is_drawn_in_both_panels_and_named_in_the_one_that_shows_it_best(upstream, panel):
    published = [gain for gain in load_gains() if gain.metric == 'mIoU']
    numbers = {gain.sweep: 1 for gain in published}
    setting = Setting('net', 'segmentation', 'streets', None, 'UPerNet', 'mIoU')
    intervals = [Interval(mean, mean - 0.1, mean + 0.1, 3) for mean in (upstream + 0.5, upstream, 0.5)]
    gain = Gain(setting, '31', '7', *intervals, SUPPORTED, largest=True)
    orange = (1.0, 0.5, 0.0, 1.0)
    figure = plot_gains('segmentation', published, numbers, [gain], {'31': orange})

    names, dots = [], []
    for axes in figure.axes:
        names.append([text.get_text() for text in axes.texts].count('31'))
        dots += [dot for dot in axes.collections if tuple(dot.get_facecolor()[0]) == orange]
    assert names == [1 - panel, panel]
    assert [dot.get_offsets().tolist() for dot in dots] == [[[upstream, upstream + 0.5]]] * 2
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ['measured here: mIoU, streets, UPerNet, net']
