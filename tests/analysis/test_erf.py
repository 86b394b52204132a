"""The effective receptive field of networks for which it is known by hand, and the tool on a real config."""

import csv
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from lkdense.analysis import area_ratios, compute_erf, plot_erf

ROOT = Path(__file__).parents[2]


def constant(channels, kernel, value, stride=1):
    conv = nn.Conv2d(channels, 1, kernel, stride=stride, padding=kernel // 2, bias=False)
    nn.init.constant_(conv.weight, value)
    return conv


def test_one_convolution_sees_its_kernel():
    found = compute_erf(constant(3, 5, 1.0), [torch.rand(2, 3, 21, 25)])
    expected = np.zeros((21, 25))
    expected[8:13, 10:15] = 3  # three channels of gradient one
    np.testing.assert_allclose(found, expected)


def test_the_place_is_chosen():
    # of 7 x 10 cells of stride 3 the one in row 1, column 8: its kernel reaches one pixel further than its stride
    found = compute_erf(constant(1, 5, 1.0, stride=3), [torch.rand(1, 1, 21, 30)], position=(1 / 7, 8 / 10))
    expected = np.zeros((21, 30))
    expected[1:6, 22:27] = 1
    np.testing.assert_allclose(found, expected)


def test_two_convolutions_see_a_triangle():
    net = nn.Sequential(constant(1, 3, 1.0), constant(1, 3, 1.0))
    found = compute_erf(net, [torch.rand(1, 1, 15, 15)])
    ramp = np.array([1, 2, 3, 2, 1])
    np.testing.assert_allclose(found[5:10, 5:10], np.outer(ramp, ramp))
    assert found.sum() == 81


def test_what_lowers_the_map_counts_on_request():
    net = constant(1, 3, 1.0)
    net.weight.data[..., 0] = -1
    image = [torch.rand(1, 1, 9, 9) + torch.tensor([0.0, 0, 0, 0, 9, 9, 0, 0, 0])]
    assert (compute_erf(net, image)[3:6, 3] == 0).all()
    assert (compute_erf(net, image, signed=True)[3:6, 3] == 1).all()


def test_output_is_chosen_and_the_mode_restored():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.small, self.large = constant(1, 3, 1.0), constant(1, 7, 1.0)

        def forward(self, x):
            assert not self.training
            return self.small(x), self.large(x)

    net = Two()
    assert [(compute_erf(net, [torch.rand(1, 1, 15, 15)], output=i) > 0).sum() for i in (0, 1)] == [9, 49]
    assert net.training


def test_area_of_a_uniform_square():
    contribution = np.zeros((101, 101))
    contribution[40:61, 40:61] = 1  # 21 x 21
    areas = {area.threshold: area for area in area_ratios(contribution, (0.2, 0.5, 0.99))}
    # the smallest odd sides whose squares exceed the shares of 441 pixels
    assert [areas[t].side for t in (0.2, 0.5, 0.99)] == [11, 15, 21]
    assert areas[0.99].ratio == pytest.approx(441 / 101**2)


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (lambda: compute_erf(nn.Conv2d(3, 1, 3), []), 'at least one image'),
        (lambda: compute_erf(constant(3, 3, 1.0), [torch.rand(1, 3, 8, 8), torch.rand(1, 3, 9, 8)]), 'of one size'),
        (lambda: compute_erf(constant(3, 3, 1.0), [torch.rand(1, 3, 8, 8)], position=(0.5, 1)), 'two shares in'),
        (lambda: area_ratios(np.ones((3, 3)), (1.5,)), r'thresholds must be in \(0, 1\)'),
        (lambda: area_ratios(np.zeros((3, 3))), 'no pixel contributes'),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_picture_holds_every_model():
    figure = plot_erf({name: np.random.default_rng(0).random((9, 9)) for name in ('a', 'b')})
    assert [axis.get_title() for axis in figure.axes[:2]] == ['a', 'b']


def test_the_tool_compares_two_models(tmp_path):
    for number in range(2):
        cv2.imwrite(str(tmp_path / f'{number}.png'), np.random.default_rng(number).integers(0, 255, (80, 90, 3)))
    configs = [ROOT / 'configs' / f'upernet_{name}_pico_ade20k.py' for name in ('convnext', 'slak')]
    command = [sys.executable, ROOT / 'tools/erf.py', configs[0], '--and', configs[1], '--images', tmp_path]
    command += ['--size', 96, '--stage', 2, '--out', tmp_path / 'out']
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((tmp_path / 'out/erf.csv').open()))
    sides = {
        row['model'].split(',')[0]: int(row['side in pixels']) for row in rows if row['share of contribution'] == '0.99'
    }
    # strips of 51 reach the whole image where kernels of 7x7 do not
    assert sides['upernet_convnext_pico_ade20k'] < sides['upernet_slak_pico_ade20k']
    assert (tmp_path / 'out/erf.png').stat().st_size > 10_000
    command[command.index(tmp_path)] = tmp_path / 'out/nothing'
    refused = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True)
    assert refused.returncode
    assert 'no image' in refused.stderr
