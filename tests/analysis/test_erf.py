"""The effective receptive field of networks for which it is known by hand, and the tool on a real config."""

import csv
import subprocess
import sys
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from lkdense.analysis import area_ratios, compute_both, compute_erf, plot_erf, stage_map
from lkdense.commands import run
from lkdense.config import read_config, register_all_of
from lkdense.models import load_model

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


@pytest.mark.parametrize('size', [(32, 32), (24, 56)])
def test_strides_widen_what_a_map_sees(size):
    # two convolutions of 3x3 at stride 2 see 3 + 2 * 2 pixels, around twice twice the place in the last map
    net = nn.Sequential(constant(3, 3, 1.0, stride=2), constant(1, 3, 1.0, stride=2))
    found = compute_erf(net, [torch.rand(1, 3, *size)])
    expected = np.zeros(size)
    row, column = size[0] // 2, size[1] // 2
    # a pixel of every second row and column is seen by two windows of the first layer
    weights = np.array([1, 1, 2, 1, 2, 1, 1])
    expected[row - 3 : row + 4, column - 3 : column + 4] = 3 * np.outer(weights, weights)
    np.testing.assert_allclose(found, expected)
    assert area_ratios(found, (0.99,))[0].side == 7


def test_dilation_leaves_gaps():
    net = nn.Conv2d(1, 1, 3, padding=4, dilation=4, bias=False)
    nn.init.constant_(net.weight, 1.0)
    found = compute_erf(net, [torch.rand(1, 1, 33, 21)])
    assert np.argwhere(found).tolist() == [[row, column] for row in (12, 16, 20) for column in (6, 10, 14)]
    assert area_ratios(found, (0.99,))[0].side == 9


def test_the_gradient_is_of_what_is_positive_and_summed_over_channels_and_images():
    net = nn.Conv2d(1, 3, 1, bias=False)
    net.weight.data[:] = torch.tensor([2.0, 3.0, -5.0]).view(3, 1, 1, 1)
    # the third channel is negative, so that only 2 and 3 count; images of a batch and several batches are averaged
    found = compute_erf(net, [torch.ones(2, 1, 5, 5), torch.ones(1, 1, 5, 5)])
    assert found[2, 2] == found.sum() == 5


def test_a_square_larger_than_the_image_is_all_of_it():
    # of an even number of pixels the middle is not in the middle
    areas = area_ratios(np.ones((8, 6)), (0.99,))
    assert areas == [(0.99, 8, 1.0)]


class Patches(BaseModule):
    """Maps at strides 4 and 8, of which each place sees its own patch and nothing else."""

    out_indices = (1, 2)

    def __init__(self):
        super().__init__()
        self.small, self.large = nn.Conv2d(3, 6, 4, stride=4), nn.Conv2d(3, 6, 8, stride=8)

    def forward(self, x):
        return self.small(x), self.large(x)


def segmentor():
    register_all_of('mmseg')
    MODELS.register_module(name='Patches', module=Patches, force=True)
    head = dict(type='FCNHead', in_channels=6, in_index=0, channels=6, num_convs=1, kernel_size=3, num_classes=4)
    head |= dict(concat_input=False, norm_cfg=dict(type='BN'))

    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(dict(type='EncoderDecoder', backbone=dict(type='Patches'), decode_head=head))

    with torch.no_grad():
        for parameter in model.parameters():
            parameter.abs_()  # so that nothing is below zero, where the gradient would end

    return model


@pytest.mark.parametrize(('stage', 'rows', 'columns'), [(2, (16, 20), (24, 28)), (3, (16, 24), (24, 32))])
def test_stages_are_counted_as_the_backbone_does(stage, rows, columns):
    found = compute_erf(segmentor(), [torch.rand(1, 3, 32, 48)], signed=True, forward=partial(stage_map, stage=stage))
    seen = np.argwhere(found)
    assert [*seen.min(0), *seen.max(0)] == [rows[0], columns[0], rows[1] - 1, columns[1] - 1]


def test_the_scores_of_a_head_see_its_convolution_too():
    # 3x3 places of 4 pixels each
    found = compute_erf(segmentor(), [torch.rand(1, 3, 32, 48)], signed=True, forward=partial(stage_map, stage='head'))
    expected = np.zeros((32, 48), bool)
    expected[12:24, 20:32] = True
    assert ((found > 0) == expected).all()


@pytest.mark.parametrize(
    ('stage', 'model', 'message'),
    [(4, segmentor, r'of \[2, 3\] \(its out_indices\), got 4'), ('head', Patches, 'Patches has no decode_head')],
)
def test_a_map_that_is_not_there_is_refused(stage, model, message):
    with pytest.raises(ValueError, match=message):
        stage_map(model(), torch.rand(1, 3, 16, 16), stage)


def test_both_ways_of_counting_come_from_one_pass():
    net, images = nn.Conv2d(3, 4, 3, padding=1), [torch.rand(1, 3, 9, 9)]
    both = compute_both(net, images)
    np.testing.assert_array_equal(both.relu, compute_erf(net, images))
    np.testing.assert_array_equal(both.signed, compute_erf(net, images, signed=True))
    assert (both.signed > both.relu).any()


@pytest.mark.parametrize(('count', 'columns'), [(1, 1), (4, 4), (5, 3), (8, 4)])
def test_the_picture_wraps_into_rows_of_four_at_most(count, columns):
    figure = plot_erf({str(i): np.ones((9, 9)) for i in range(count)})
    assert figure.axes[0].get_gridspec().ncols == columns


def test_rows_of_the_picture():
    figure = plot_erf({name: np.random.default_rng(0).random((9, 9)) for name in 'abcd'}, columns=2)
    assert [axis.get_title() for axis in figure.axes[:4]] == list('abcd')
    limits = {image.get_clim() for axis in figure.axes[:4] for image in axis.images}
    assert limits == {(0, 1)}  # one colour scale
    assert '50% in' in figure.axes[3].get_xlabel()


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


def test_trained_beside_untrained_weights_of_a_head(tmp_path, capsys):
    cv2.imwrite(str(tmp_path / '0.png'), np.random.default_rng(0).integers(0, 255, (80, 90, 3)))
    name = 'upernet_convnext_pico_ade20k'
    model = load_model(read_config(name))

    with torch.no_grad():
        # as if training had left each depthwise convolution only its middle: the stages see a patch of the stem
        for weight in model.backbone.parameters():
            if weight.dim() == 4 and weight.shape[1] == 1:
                weight[..., :3, :] = weight[..., 4:, :] = 0
                weight[..., :3] = weight[..., 4:] = 0

    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'trained.pth')

    def measured(*options):
        arguments = [
            name,
            str(tmp_path / 'trained.pth'),
            '--untrained',
            '--images',
            str(tmp_path),
            '--out',
            str(tmp_path),
        ]
        run('erf', [*arguments, '--size', '64', '96', *options])

        return list(csv.DictReader((tmp_path / 'erf.csv').open()))

    rows = measured('--stage', '4', '--signed', '--and', name, 'model.backbone.kernel_sizes=[31,31,31,31]')
    trained = f'{tmp_path.name}/trained'
    assert {(row['model'], row['weights']) for row in rows} == {
        (name, 'random'),
        (name, trained),
        (f'{name}, kernel_sizes=[31,31,31,31]', 'random'),
    }
    assert {(row['stage'], row['images'], row['height'], row['width']) for row in rows} == {('4', '1', '64', '96')}
    reach = {
        (row['model'], row['weights'], row['gradients']): int(row['side in pixels'])
        for row in rows
        if row['share of contribution'] == '0.99'
    }
    assert len(reach) == 6

    for way in ('positive part', 'absolute value'):
        # strides of as many pixels as the kernels: of a place of stride 32 nothing but its own 32 pixels counts
        assert reach[name, trained, way] <= 65 < reach[name, 'random', way]

    assert {row['stage'] for row in measured('--stage', 'head')} == {'head'}
    with pytest.raises(SystemExit, match='same names'):
        measured('--and', name, str(tmp_path / 'trained.pth'))

    with pytest.raises(SystemExit, match='no decode_head'):
        run('erf', ['cascade_mask_rcnn_slak_pico_coco', '--images', str(tmp_path), '--stage', 'head', '--size', '64'])
