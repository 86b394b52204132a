"""The labels of a crowded figure can be told apart, and each stands by one point."""

from itertools import combinations

import pytest

from lkdense.study.plots import plot_gains
from lkdense.study.published import load_gains


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
