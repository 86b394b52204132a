"""Objects with two cues: what is drawn, and what is cut out of a data set with masks."""

import json
from collections import Counter

import cv2
import numpy as np
import pytest

from lkdense.data.synthetic.cue_conflict import GREY, cut_cues, draw_cues, inner_square, portrait
from lkdense.data.synthetic.shapes import area, disk, look

FOUR = ('disk', 'square', 'triangle', 'cross')
RED, GREEN, BLUE = (200, 30, 30), (30, 200, 30), (30, 30, 120)


def test_drawn_cues_disagree_in_every_pair_alike():
    cues = list(draw_cues(FOUR, 24, (64, 80)))
    assert {cue.image.shape for cue in cues} == {(64, 80, 3)}
    pairs = Counter((*cue.shape, *cue.texture) for cue in cues)
    assert pairs == {(shape, texture): 2 for shape in FOUR for texture in FOUR if shape != texture}
    again = list(draw_cues(FOUR, 2, (64, 80)))
    assert all((a.image == b.image).all() and (a.mask == b.mask).all() for a, b in zip(cues, again))
    assert (cues[0].image != next(draw_cues(FOUR, 1, (64, 80), seed=1)).image).any()


def test_drawn_objects_are_whole_and_have_their_outline():
    for cue in draw_cues(FOUR, 12, (96, 96)):
        left, top, right, bottom = cue.box
        assert min(left, top) > 0 and max(right, bottom) < 96
        if cue.shape == ('disk',):
            diameter = right - left
            assert cue.mask.sum() == pytest.approx(area(disk) * (diameter / 2 / 0.9) ** 2, rel=0.1)


def test_classes_may_share_a_texture():
    names = [f'class {index}' for index in range(8)]
    for cue in draw_cues(names, 24, (64, 64)):
        assert len(cue.shape) == 1 and len(cue.texture) == 2 and not set(cue.shape) & set(cue.texture)
        assert len({look(names.index(name))[1] for name in cue.texture}) == 1


def test_cues_that_agree():
    assert {(cue.shape, cue.texture) for cue in draw_cues(FOUR, 8, (64, 64), agree=True)} == {
        ((name,), (name,)) for name in FOUR
    }


def test_the_largest_square_inside():
    mask = np.zeros((30, 40), bool)
    mask[5:14, 10:40] = True  # nine high, and at the edge
    mask[14:30, 10:13] = True
    rows, columns = inner_square(mask)
    assert (rows.start, rows.stop, columns.stop - columns.start) == (5, 14, 9)
    assert mask[rows, columns].all()
    rows, _ = inner_square(np.zeros((5, 5), bool))
    assert rows.start >= rows.stop


@pytest.fixture
def instances(tmp_path):
    """Two red squares and two green disks of COCO's format; one more square is cut by the edge, one disk is small."""
    yy, xx = np.mgrid[:160, :200]
    squares = [(np.abs(yy - 80) < 40) & (np.abs(xx - x) < 40) for x in (60, 130)] + [(yy < 80) & (xx < 80)]
    disks = [np.hypot(yy - 80, xx - x) < 45 for x in (60, 130)] + [np.hypot(yy - 80, xx - 60) < 20]
    images, annotations = [], []

    for number, (mask, kind) in enumerate([(mask, 1) for mask in squares] + [(mask, 2) for mask in disks], start=1):
        image = np.full((160, 200, 3), BLUE, np.uint8)
        image[mask] = RED if kind == 1 else GREEN
        cv2.imwrite(str(tmp_path / f'{number}.png'), image[..., ::-1])
        images.append(dict(id=number, file_name=f'{number}.png', height=160, width=200))
        outline, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
        annotations.append(
            dict(id=number, image_id=number, category_id=kind, iscrowd=0, area=int(mask.sum()))
            | dict(bbox=[x, y, width, height], segmentation=[outline[0].ravel().tolist()])
        )

    categories = [dict(id=1, name='square'), dict(id=2, name='disk')]
    path = tmp_path / 'instances.json'
    path.write_text(json.dumps(dict(images=images, annotations=annotations, categories=categories)))

    return path


def test_outlines_are_filled_with_the_inside_of_the_other_class(instances):
    cues = list(cut_cues(instances, instances.parent, ('square', 'disk'), 10))
    # whole and large ones, the classes in turn
    assert [cue.shape for cue in cues] == [('square',), ('disk',)] * 2
    for cue in cues:
        inside = GREEN if cue.shape == ('square',) else RED
        assert cue.texture != cue.shape
        assert (cue.image[cue.mask] == inside).all() and (cue.image[~cue.mask] == GREY).all()


def test_the_background_may_stay_and_the_objects_too(instances):
    kept = next(cut_cues(instances, instances.parent, ('square', 'disk'), 1, background='own'))
    assert (kept.image[kept.mask] == GREEN).all()
    # the polygon runs along the middle of the outermost pixels
    assert (kept.image[~kept.mask] == BLUE).all(1).mean() > 0.98
    agreeing = next(cut_cues(instances, instances.parent, ('square', 'disk'), 1, agree=True))
    assert agreeing.shape == agreeing.texture == ('square',)
    assert (agreeing.image[agreeing.mask] == RED).all(1).mean() > 0.95
    assert (agreeing.image[~agreeing.mask] == GREY).all()


def test_a_portrait_shows_the_object_alone(instances):
    cue = next(cut_cues(instances, instances.parent, ('square', 'disk'), 1))
    shown = portrait(cue)
    assert shown.image.shape == cue.image.shape and shown.mask.shape == cue.mask.shape
    # a half more than its width and height
    assert shown.mask.mean() == pytest.approx(1 / 1.5**2, rel=0.05)


def test_refusals(instances):
    with pytest.raises(ValueError, match='two classes that differ'):
        next(draw_cues(('disk',), 1, (64, 64)))
    with pytest.raises(ValueError, match='background must be one of grey, own'):
        next(cut_cues(instances, instances.parent, ('square', 'disk'), 1, background='white'))
    with pytest.raises(ValueError, match='no whole instance of one class'):
        next(cut_cues(instances, instances.parent, ('square',), 1))


def test_real_instances(real_data):
    folder = real_data / 'coco_free'
    annotations = folder / 'annotations/instances_val2017.json'
    names = [category['name'] for category in json.loads(annotations.read_text())['categories']]
    cues = list(cut_cues(annotations, folder / 'val2017', names, 8))
    assert len(cues) == 8 == len({cue.shape for cue in cues})

    for cue in cues:
        left, top, right, bottom = cue.box
        assert cue.shape != cue.texture
        assert min(right - left, bottom - top) >= 64
        assert (cue.image[~cue.mask] == GREY).all() and (cue.image[cue.mask] != GREY).any()
