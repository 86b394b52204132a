"""The texts of a crowded picture can be told apart, and each stands by one point."""

from itertools import combinations

import pytest

from lkdense.study.plots import plot_gains
from lkdense.study.published import load_gains


@pytest.mark.parametrize('share', [False, True])
@pytest.mark.parametrize(('task', 'metric', 'panels'), [('segmentation', 'mIoU', 2), ('detection', 'box mAP', 1)])
def test_every_sweep_is_named_once_and_no_text_lies_on_another(task, metric, panels, share):
    gains = [gain for gain in load_gains() if (gain.task, gain.metric) == (task, metric)]
    numbers = {sweep: n for n, sweep in enumerate(dict.fromkeys(gain.sweep for gain in gains), 1)}
    figure = plot_gains(task, gains, numbers, share=share)
    # a few points are enlarged, in a second panel
    assert len(figure.axes) == panels
    named = []

    for axes in figure.axes:
        notes = [text for text in axes.texts if text.get_text()]
        named += [word for note in notes for word in note.get_text().split(' and ')]
        boxes = [note.get_window_extent() for note in notes]
        assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
        assert all(axes.bbox.contains(*corner) for box in boxes for corner in box.corners())

    variants = {(gain.sweep, gain.data) for gain in gains}
    assert len(named) == len(set(named)) == len(variants)
