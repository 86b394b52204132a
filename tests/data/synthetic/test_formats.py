"""Each layout's own encoding, against answers worked out by hand."""

import numpy as np
import pytest
from mmseg.datasets import PascalVOCDataset
from pycocotools import mask as coco_mask

from lkdense.data.synthetic import Scene, cityscapes, coco, voc

# There are two disks of class 0, one under a square of class 1, and clutter; class 8 is stuff in Cityscapes.
OBJECTS = np.array(
    [
        [1, 1, 0, 0, 4],
        [1, 1, 0, 2, 2],
        [0, 0, 0, 2, 3],
        [255, 0, 0, 3, 3],
    ],
    dtype=np.uint8,
)
SCENE = Scene(np.zeros((4, 5, 3), np.uint8), OBJECTS, classes=(0, 0, 1, 8), visible=(1.0, 0.9, 0.4, 1.0))


def decode(outlines, shape):
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(outlines, *shape))).astype(bool)


def test_cityscapes_instance_ids_count_things_within_their_class():
    person, rider, sidewalk, road, static = 24, 25, 8, 7, 4
    first, second, third = person * 1000, person * 1000 + 1, rider * 1000
    assert cityscapes.instance_ids(SCENE).tolist() == [
        [first, first, road, road, sidewalk],
        [first, first, road, second, second],
        [road, road, road, second, third],
        [static, road, road, third, third],
    ]


def test_coco_polygon_of_a_rectangle_runs_along_its_pixels_edges():
    mask = np.zeros((5, 6), bool)
    mask[1:3, 2:6] = True
    (outline,) = coco.polygons(mask)
    corners = set(zip(outline[::2], outline[1::2], strict=True))
    assert len(outline) == 8
    assert corners == {(2, 1), (6, 1), (6, 3), (2, 3)}


def test_coco_polygons_have_a_piece_each_and_keep_holes():
    mask = np.zeros((9, 12), bool)
    mask[1:8, 1:8] = True
    mask[3:5, 2:4] = mask[5, 6] = False
    mask[4, 10] = True
    outlines = coco.polygons(mask)
    assert len(outlines) == 2
    assert (decode(outlines, mask.shape) == mask).all()


@pytest.mark.parametrize('seed', range(20))
def test_coco_polygons_are_exact_for_any_mask(seed):
    # Random pixels have every kind of corner, hole and diagonal contact.
    mask = np.random.default_rng(seed).random((11, 14)) < (0.2, 0.5, 0.8)[seed % 3]
    assert (decode(coco.polygons(mask), mask.shape) == mask).all()


def test_coco_polygons_of_nothing_are_none():
    assert coco.polygons(np.zeros((3, 3), bool)) == []


def test_coco_objects_have_the_numbers_of_their_mask():
    first, *_, last = coco.objects(SCENE, image_id=9, first_id=100)
    assert {key: first[key] for key in first if key != 'segmentation'} == {
        'id': 100,
        'image_id': 9,
        'category_id': 1,
        'area': 4,
        'bbox': [0, 0, 2, 2],
        'iscrowd': 0,
    }
    assert (last['id'], last['category_id'], last['area'], last['bbox']) == (103, 9, 1, [4, 0, 1, 1])


def test_coco_has_the_eighty_real_categories():
    from mmdet.datasets import CocoDataset

    names = {}
    for members in coco.CATEGORIES.values():
        names |= members
    assert tuple(names.values()) == CocoDataset.METAINFO['classes']
    # The ids run to 90, and ten are left out.
    assert sorted({*range(1, 91)} - {*names}) == [12, 26, 29, 30, 45, 66, 68, 69, 71, 83]


def test_voc_palette_is_that_of_pascal():
    assert voc.palette()[:21].tolist() == PascalVOCDataset.METAINFO['palette']
    assert voc.palette()[255].tolist() == [224, 224, 192]


def test_voc_annotation_counts_pixels_from_one():
    root = voc.annotation(SCENE, 'VOC2007', '000001.jpg', segmented=False).getroot()
    assert [root.findtext(path) for path in ('folder', 'filename', 'size/width', 'size/height', 'segmented')] == [
        *('VOC2007', '000001.jpg', '5', '4', '0')
    ]

    objects = list(root.iter('object'))
    assert [entry.findtext('name') for entry in objects] == ['aeroplane', 'aeroplane', 'bicycle', 'chair']
    assert [entry.findtext('truncated') for entry in objects] == ['1', '1', '1', '1']
    assert [entry.findtext('difficult') for entry in objects] == ['0', '0', '1', '0']

    boxes = [[int(edge.text) for edge in box] for box in root.iter('bndbox')]
    assert boxes == [[1, 1, 2, 2], [4, 2, 5, 3], [4, 3, 5, 4], [5, 1, 5, 1]]


def test_voc_contour_is_void_on_both_sides_of_an_edge():
    objects = np.zeros((5, 8), np.uint8)
    objects[:, 4:] = 1
    contour = voc._contour(objects)
    assert contour.all(0).tolist() == [False, False, False, True, True, False, False, False]
    assert not contour[:, [0, 1, 2, 5, 6, 7]].any()
