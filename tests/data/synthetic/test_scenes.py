"""The scene model: what masks, boxes and label maps are, and what every drawn scene owes."""

import numpy as np
import pytest

from lkdense.data.synthetic import Scene, make_scene
from lkdense.data.synthetic.scenes import BACKGROUND, CLUTTER, MIN_VISIBLE
from lkdense.data.synthetic.shapes import MAX_CLASSES, SHAPES, TEXTURES, area, shape_and_texture

# There are two objects, the second in two pieces, and a pixel of clutter.
OBJECTS = np.array(
    [
        [0, 1, 1, 0, 0],
        [0, 1, 1, 2, 0],
        [0, 0, 0, 0, 0],
        [255, 0, 0, 2, 2],
    ],
    dtype=np.uint8,
)
BY_HAND = Scene(np.zeros((4, 5, 3), np.uint8), OBJECTS, classes=(3, 0), visible=(1.0, 0.5))
# The areas follow from geometry, in units of the squared radius.
AREAS = {
    'disk': np.pi * 0.9**2,
    'square': 1.4**2,
    'triangle': 3 * 3**0.5 / 4,
    'cross': 2 * 1.9 * 0.56 - 0.56**2,
    'ring': np.pi * (0.95**2 - 0.45**2),
    'star': 5 * 0.4 * np.sin(np.pi / 5),
    'bar': 1.9 * 0.52,
}


def draw(seed, size=(96, 128), num_classes=8):
    return make_scene(np.random.default_rng(seed), size, num_classes)


def test_masks_are_the_pixels_of_each_object():
    assert BY_HAND.masks.sum((1, 2)).tolist() == [4, 3]
    assert BY_HAND.masks[1].tolist() == (OBJECTS == 2).tolist()


def test_boxes_are_the_extents_of_the_masks():
    assert BY_HAND.boxes.tolist() == [[1, 0, 3, 2], [3, 1, 5, 4]]


def test_label_map_names_classes_background_and_clutter():
    labels = BY_HAND.label_map([10, 11, 12, 13], background=7, clutter=99)
    assert labels.tolist() == [[7, 13, 13, 7, 7], [7, 13, 13, 10, 7], [7, 7, 7, 7, 7], [99, 7, 7, 10, 10]]
    assert labels.dtype == np.uint8


@pytest.mark.parametrize('seed', range(10))
def test_drawn_scenes_are_consistent(seed):
    scene = draw(seed)
    assert scene.image.shape == (96, 128, 3)
    assert scene.image.dtype == scene.objects.dtype == np.uint8
    assert 2 <= len(scene.classes) == len(scene.visible) <= 7
    assert set(scene.classes) <= set(range(8))
    assert set(np.unique(scene.objects)) - {BACKGROUND, CLUTTER} == set(range(1, len(scene.classes) + 1))
    assert all(MIN_VISIBLE <= visible <= 1 for visible in scene.visible)
    assert scene.image.std() > 10


def test_the_same_seed_gives_the_same_scene_and_another_seed_another():
    first, again, other = draw(1), draw(1), draw(2)
    assert (first.image == again.image).all() and (first.objects == again.objects).all()
    assert first.classes == again.classes and first.visible == again.visible
    assert (first.image != other.image).any()


def test_scenes_have_occlusion_scale_changes_clutter_and_every_class():
    sizes, is_occluded, has_clutter, classes = [], [], [], set()
    for seed in range(60):
        scene = draw(seed)
        for visible, (x0, y0, x1, y1) in zip(scene.visible, scene.boxes, strict=True):
            sizes.append(max(x1 - x0, y1 - y0))
            # Apart from rounding, only another object can hide part of an object that does not touch the border.
            if x0 > 0 and y0 > 0 and x1 < 128 and y1 < 96:
                is_occluded.append(visible < 0.85)
        has_clutter.append((scene.objects == CLUTTER).any())
        classes.update(scene.classes)

    assert 0.05 < np.mean(is_occluded) < 0.5
    assert max(sizes) > 4 * min(sizes)
    assert 0.1 < np.mean(has_clutter) < 0.5
    assert classes == set(range(8))


def test_mean_colours_do_not_tell_the_class():
    means = {index: [] for index in range(8)}
    for seed in range(150):
        scene = draw(seed)
        for index, mask in zip(scene.classes, scene.masks, strict=True):
            means[index].append(scene.image[mask].mean(0))

    centres = np.array([np.mean(colours, 0) for colours in means.values()])
    spread = np.mean([np.std(colours, 0) for colours in means.values()])
    assert np.abs(centres - centres.mean(0)).max() < spread


@pytest.mark.parametrize(('name', 'expected'), AREAS.items(), ids=AREAS)
def test_shapes_have_the_area_of_their_geometry(name, expected):
    shape = next(shape for shape in SHAPES if shape.__name__ == name)
    assert area(shape) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize('shape', SHAPES, ids=lambda shape: shape.__name__)
def test_shapes_lie_within_the_unit_circle(shape):
    v, u = np.mgrid[-1.5:1.5:301j, -1.5:1.5:301j]
    assert shape(u, v).any()
    assert not shape(u, v)[np.hypot(u, v) > 1.01].any()


def test_each_class_has_its_own_shape_and_texture():
    pairs = [shape_and_texture(index) for index in range(MAX_CLASSES)]
    assert len(set(pairs)) == MAX_CLASSES == 32
    # Neither the texture nor, over all classes, the shape tells the class.
    assert len({shape for shape, _ in pairs[:8]}) == 8
    textures = [texture for _, texture in pairs[:8]]
    assert [textures.count(texture) for texture in TEXTURES] == [2, 2, 2, 2]


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(size=(31, 64)), r'size must be .* at least 32 pixels, got \(31, 64\)'),
        (dict(size=(64,)), 'size must be a height and a width'),
        (dict(num_classes=0), r'num_classes must be in \[1, 32\], got 0'),
        (dict(num_classes=33), r'num_classes must be in \[1, 32\], got 33'),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_scene(np.random.default_rng(0), **arguments)


def test_a_class_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match=r'in \[0, 32\), got 32'):
        shape_and_texture(MAX_CLASSES)
