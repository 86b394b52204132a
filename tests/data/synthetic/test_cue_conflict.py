"""Objects with two cues: what is drawn, and what is cut out of a data set with masks."""

import json
from collections import Counter

import cv2
import numpy as np
import pytest

from lkdense.data.synthetic.cue_conflict import GREY, crop_to_object, cut_cues, draw_cues, inner_square
from lkdense.data.synthetic.shapes import area, disk, shape_and_texture

FOUR = ('disk', 'square', 'triangle', 'cross')
RED, GREEN, BLUE = (200, 30, 30), (30, 200, 30), (30, 30, 120)


def test_drawn_cues_disagree_in_every_pair_alike():
    cues = list(draw_cues(FOUR, 24, (64, 80)))
    assert {cue.image.shape for cue in cues} == {(64, 80, 3)}
    pairs = Counter((*cue.shape, *cue.texture) for cue in cues)
    assert pairs == {(shape, texture): 2 for shape in FOUR for texture in FOUR if shape != texture}

    for cue, same in zip(cues, draw_cues(FOUR, 2, (64, 80))):
        assert (cue.image == same.image).all() and (cue.mask == same.mask).all()
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
        assert len({shape_and_texture(names.index(name))[1] for name in cue.texture}) == 1


def test_cues_that_agree():
    assert {(cue.shape, cue.texture) for cue in draw_cues(FOUR, 8, (64, 64), agree=True)} == {
        ((name,), (name,)) for name in FOUR
    }


def test_the_largest_square_inside():
    mask = np.zeros((30, 40), bool)
    # This part is nine pixels high and ends at the edge.
    mask[5:14, 10:40] = True
    mask[14:30, 10:13] = True
    rows, columns = inner_square(mask)
    assert (rows.start, rows.stop, columns.stop - columns.start) == (5, 14, 9)
    assert mask[rows, columns].all()
    rows, _ = inner_square(np.zeros((5, 5), bool))
    assert rows.start >= rows.stop


@pytest.fixture
def instances(tmp_path):
    """Write two red squares and two green disks in COCO's format, a square cut off by the edge, and a small disk."""
    y, x = np.mgrid[:160, :200] - 80
    square_masks = [np.maximum(np.abs(y), np.abs(x + shift)) < 40 for shift in (20, -50)]
    disk_masks = [np.hypot(y, x + shift) < 45 for shift in (20, -50)]
    cut_square, small_disk = np.maximum(y, x) < 0, np.hypot(y, x + 20) < 20
    masks = [*square_masks, cut_square, *disk_masks, small_disk]

    images, annotations = [], []
    for number, (mask, kind) in enumerate(zip(masks, (1, 1, 1, 2, 2, 2)), start=1):
        image = np.full((160, 200, 3), BLUE, np.uint8)
        image[mask] = RED if kind == 1 else GREEN
        cv2.imwrite(str(tmp_path / f'{number}.png'), image[..., ::-1])
        images.append(dict(id=number, file_name=f'{number}.png', height=160, width=200))

        outline, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        annotation = dict(id=number, image_id=number, category_id=kind, iscrowd=0, area=int(mask.sum()))
        annotation['bbox'] = list(cv2.boundingRect(mask.astype(np.uint8)))
        annotation['segmentation'] = [outline[0].ravel().tolist()]
        annotations.append(annotation)

    categories = [dict(id=1, name='square'), dict(id=2, name='disk')]
    path = tmp_path / 'instances.json'
    path.write_text(json.dumps(dict(images=images, annotations=annotations, categories=categories)))

    return path


def test_outlines_are_filled_with_the_inside_of_the_other_class(instances):
    cues = list(cut_cues(instances, instances.parent, ('square', 'disk'), 10))
    # Objects that are whole and large remain, and the classes take turns.
    assert [cue.shape for cue in cues] == [('square',), ('disk',)] * 2
    for cue in cues:
        inside = GREEN if cue.shape == ('square',) else RED
        assert cue.texture != cue.shape
        assert (cue.image[cue.mask] == inside).all() and (cue.image[~cue.mask] == GREY).all()


def test_the_background_may_stay_and_the_objects_too(instances):
    conflicting = next(cut_cues(instances, instances.parent, ('square', 'disk'), 1, background='own'))
    assert (conflicting.image[conflicting.mask] == GREEN).all()
    # The polygon runs along the middle of the outermost pixels, so a few of them differ.
    assert (conflicting.image[~conflicting.mask] == BLUE).all(1).mean() > 0.98

    agreeing = next(cut_cues(instances, instances.parent, ('square', 'disk'), 1, agree=True))
    assert agreeing.shape == agreeing.texture == ('square',)
    assert (agreeing.image[agreeing.mask] == RED).all(1).mean() > 0.95
    assert (agreeing.image[~agreeing.mask] == GREY).all()


def test_a_crop_shows_the_object_alone(instances):
    cue = next(cut_cues(instances, instances.parent, ('square', 'disk'), 1))
    crop = crop_to_object(cue)
    assert crop.image.shape == cue.image.shape and crop.mask.shape == cue.mask.shape
    # The crop is half as wide and high again as the object.
    assert crop.mask.mean() == pytest.approx(1 / 1.5**2, rel=0.05)


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
