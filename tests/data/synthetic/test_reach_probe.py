"""The reach probe: only a marker at the stated distance tells a patch's class, so a network must reach it to learn."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from lkdense import ConvNeXt
from lkdense.data.synthetic import reach_probe
from lkdense.data.synthetic.reach_probe import (
    CLASSES,
    IGNORED,
    MARKER,
    PAIRS,
    PATCH,
    STRIPES,
    make_reach_image,
    write_reach,
)


def images(count, distance, seed=0):
    return [make_reach_image(np.random.default_rng([seed, index]), distance) for index in range(count)]


def middles(box):
    x0, y0, x1, y1 = box
    return (x0 + x1) // 2, (y0 + y1) // 2


@pytest.mark.parametrize('distance', [12, 24, 56, 96])
def test_classes_change_nothing_but_markers_at_the_distance(distance, monkeypatch):
    for index in range(20):
        probe = make_reach_image(np.random.default_rng(index), distance)
        with monkeypatch.context() as patch:
            patch.setattr(reach_probe, 'COLORS', reach_probe.COLORS[::-1].copy())
            recolored = make_reach_image(np.random.default_rng(index), distance)
        differs = (probe.image != recolored.image).any(2)

        markers = np.zeros_like(differs)
        for box, _ in probe.pairs:
            x, y = middles(box)
            for dx, dy in ((distance, 0), (-distance, 0), (0, distance), (0, -distance)):
                top, left = max(y + dy - MARKER // 2, 0), max(x + dx - MARKER // 2, 0)
                square = np.s_[top : top + MARKER, left : left + MARKER]
                if differs[square].size and differs[square].mean() > 0.9:
                    markers[square] = True

        assert differs.any()
        assert not (differs & ~markers).any()


def test_classes_and_stripes_are_independent_coins():
    probes = images(400, 24)
    labels = np.array([pair.label for probe in probes for pair in probe.pairs]).reshape(-1, PAIRS)
    assert abs(labels.mean() - 0.5) < 0.03
    # If the classes were balanced within an image, their sum would not vary.
    assert abs(labels.sum(1).var() - PAIRS / 4) < 0.5

    stripes = np.array([probe.stripes for probe in probes])
    assert abs(stripes.mean() - 0.5) < 0.08
    assert abs(np.corrcoef(stripes, labels.mean(1))[0, 1]) < 0.15


def test_label_map_covers_the_patches_alone():
    for image in images(10, 56):
        labels = image.label_map()
        assert (labels != IGNORED).sum() == PAIRS * PATCH**2
        for (x0, y0, x1, y1), label in image.pairs:
            assert (labels[y0:y1, x0:x1] == label).all()


def test_stripes_fall_or_rise_whichever_way_the_pair_lies():
    for image in images(30, 24):
        for (x0, y0, x1, y1), _ in image.pairs:
            patch = image.image[y0:y1, x0:x1].mean(2)
            # Neighbours are alike along the diagonal that the stripes follow.
            falling = np.abs(patch[1:, 1:] - patch[:-1, :-1]).mean()
            rising = np.abs(patch[1:, :-1] - patch[:-1, 1:]).mean()
            assert STRIPES[image.stripes] == ('falling' if falling < rising else 'rising')


def test_three_forms_agree(tmp_path):
    write_reach(tmp_path / 'probe', 24, train=3, val=2)
    content = json.loads((tmp_path / 'probe/instances_val.json').read_text())
    assert [image['file_name'] for image in content['images']] == ['000001.png', '000002.png']
    labels = np.array(Image.open(tmp_path / 'probe/annotations/val/000001.png'))
    boxes = [entry for entry in content['annotations'] if entry['image_id'] == 1]
    assert len(boxes) == PAIRS

    for entry in boxes:
        x, y, width, height = entry['bbox']
        assert (labels[y : y + height, x : x + width] == entry['category_id'] - 1).all()

    assert len(list((tmp_path / 'probe/stripes/train').glob('*/*.png'))) == 3

    # An equal probe is kept, and another one is not overwritten.
    before = (tmp_path / 'probe/images/val/000001.png').stat().st_mtime_ns
    write_reach(tmp_path / 'probe', 24, train=3, val=2)
    assert (tmp_path / 'probe/images/val/000001.png').stat().st_mtime_ns == before

    with pytest.raises(FileExistsError, match='distance: 24 there, 56 asked for'):
        write_reach(tmp_path / 'probe', 56, train=3, val=2)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(distance=8), r'distance must be in \[10, 120\]'),
        (dict(distance=121), r'distance must be in \[10, 120\]'),
        (dict(distance=24, size=100), 'size must be at least 128'),
        (dict(distance=24, val=0), 'at least one image'),
    ],
)
def test_wrong_arguments(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        write_reach(tmp_path / 'probe', **arguments)
    assert not (tmp_path / 'probe').exists()


def tensors(count, distance, seed):
    probes = images(count, distance, seed)
    pixels = np.stack([probe.image for probe in probes])
    labels = np.stack([probe.label_map() for probe in probes])
    inputs = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - 110) / 50
    return inputs, torch.from_numpy(labels).long()


@pytest.mark.parametrize(('kernel', 'solves'), [(7, False), (13, True)])
def test_only_a_network_that_reaches_the_marker_learns(kernel, solves):
    """One block at stride 4 sees half a kernel times 4 pixels: 12 with 7x7, 24 with 13x13; the marker is 24 away."""
    arch = dict(depths=(1, 1, 1, 1), dims=(32, 8, 8, 8))
    backbone = ConvNeXt(arch, kernel_sizes=(kernel,) * 4, out_indices=(0,))
    head = nn.Conv2d(32, len(CLASSES), 1)

    def scores(pixels):
        return F.interpolate(head(backbone(pixels)[0]), scale_factor=4)

    parameters = [p for p in (*backbone.parameters(), *head.parameters()) if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=4e-3)
    for step in range(60):
        pixels, labels = tensors(8, 24, seed=step + 1)
        loss = F.cross_entropy(scores(pixels), labels, ignore_index=IGNORED)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    pixels, labels = tensors(40, 24, seed=1000)
    with torch.no_grad():
        is_right = scores(pixels).argmax(1) == labels
    accuracy = is_right[labels != IGNORED].float().mean().item()
    assert accuracy > 0.9 if solves else 0.4 < accuracy < 0.6
