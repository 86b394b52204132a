"""The effective receptive field of networks for which it is known by hand, and the command on real configs."""

import csv
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
from lkdense.commands import main
from lkdense.config import read_config, register_all_of
from lkdense.models import load_model

SEGMENTOR = 'upernet_convnext_pico_ade20k'


def constant(channels, kernel, value, stride=1):
    conv = nn.Conv2d(channels, 1, kernel, stride=stride, padding=kernel // 2, bias=False)
    nn.init.constant_(conv.weight, value)
    return conv


def test_one_convolution_sees_its_kernel():
    contribution = compute_erf(constant(3, 5, 1.0), [torch.rand(2, 3, 21, 25)])
    expected = np.zeros((21, 25))
    # Each of the three channels has a gradient of one.
    expected[8:13, 10:15] = 3
    np.testing.assert_allclose(contribution, expected)


def test_the_place_is_chosen():
    # The map has 7 x 10 places of stride 3. At row 1, column 8 the kernel reaches one pixel further than the stride.
    contribution = compute_erf(constant(1, 5, 1.0, stride=3), [torch.rand(1, 1, 21, 30)], position=(1 / 7, 8 / 10))
    expected = np.zeros((21, 30))
    expected[1:6, 22:27] = 1
    np.testing.assert_allclose(contribution, expected)


def test_two_convolutions_see_a_triangle():
    net = nn.Sequential(constant(1, 3, 1.0), constant(1, 3, 1.0))
    contribution = compute_erf(net, [torch.rand(1, 1, 15, 15)])
    ramp = np.array([1, 2, 3, 2, 1])
    np.testing.assert_allclose(contribution[5:10, 5:10], np.outer(ramp, ramp))
    assert contribution.sum() == 81


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
    contribution[40:61, 40:61] = 1
    areas = {area.threshold: area for area in area_ratios(contribution, (0.2, 0.5, 0.99))}
    # These are the smallest odd sides whose squares exceed the shares of 21 x 21 pixels.
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


def test_the_figure_shows_every_model():
    figure = plot_erf({name: np.random.default_rng(0).random((9, 9)) for name in ('a', 'b')})
    assert [axis.get_title() for axis in figure.axes[:2]] == ['a', 'b']


@pytest.mark.parametrize('size', [(32, 32), (24, 56)])
def test_strides_widen_what_a_map_sees(size):
    # Two convolutions of 3x3 at stride 2 see 3 + 2 * 2 pixels, around four times the place in the last map.
    net = nn.Sequential(constant(3, 3, 1.0, stride=2), constant(1, 3, 1.0, stride=2))
    contribution = compute_erf(net, [torch.rand(1, 3, *size)])
    expected = np.zeros(size)
    row, column = size[0] // 2, size[1] // 2
    # Two windows of the first layer see a pixel of every second row and column.
    weights = np.array([1, 1, 2, 1, 2, 1, 1])
    expected[row - 3 : row + 4, column - 3 : column + 4] = 3 * np.outer(weights, weights)
    np.testing.assert_allclose(contribution, expected)
    assert area_ratios(contribution, (0.99,))[0].side == 7


def test_dilation_leaves_gaps():
    net = nn.Conv2d(1, 1, 3, padding=4, dilation=4, bias=False)
    nn.init.constant_(net.weight, 1.0)
    contribution = compute_erf(net, [torch.rand(1, 1, 33, 21)])
    assert np.argwhere(contribution).tolist() == [[row, column] for row in (12, 16, 20) for column in (6, 10, 14)]
    assert area_ratios(contribution, (0.99,))[0].side == 9


def test_the_gradient_is_of_what_is_positive_and_summed_over_channels_and_images():
    net = nn.Conv2d(1, 3, 1, bias=False)
    net.weight.data[:] = torch.tensor([2.0, 3.0, -5.0]).view(3, 1, 1, 1)
    # The third channel is negative, so only 2 and 3 count. Images of a batch and several batches are averaged.
    contribution = compute_erf(net, [torch.ones(2, 1, 5, 5), torch.ones(1, 1, 5, 5)])
    assert contribution[2, 2] == contribution.sum() == 5


def test_a_square_larger_than_the_image_is_all_of_it():
    # The middle of an even number of pixels is not in the middle.
    areas = area_ratios(np.ones((8, 6)), (0.99,))
    assert areas == [(0.99, 8, 1.0)]


class Patches(BaseModule):
    """A backbone with maps at strides 4 and 8, each place of which sees its own patch and nothing else."""

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
            # Nothing may be below zero, where the gradient would end.
            parameter.abs_()

    return model


@pytest.mark.parametrize(('stage', 'rows', 'columns'), [(2, (16, 20), (24, 28)), (3, (16, 24), (24, 32))])
def test_stages_are_counted_as_the_backbone_does(stage, rows, columns):
    forward = partial(stage_map, stage=stage)
    contribution = compute_erf(segmentor(), [torch.rand(1, 3, 32, 48)], signed=True, forward=forward)
    pixels = np.argwhere(contribution)
    assert [*pixels.min(0), *pixels.max(0)] == [rows[0], columns[0], rows[1] - 1, columns[1] - 1]


def test_the_scores_of_a_head_see_its_convolution_too():
    # The convolution sees 3x3 places of 4 pixels each.
    forward = partial(stage_map, stage='head')
    contribution = compute_erf(segmentor(), [torch.rand(1, 3, 32, 48)], signed=True, forward=forward)
    expected = np.zeros((32, 48), bool)
    expected[12:24, 20:32] = True
    assert ((contribution > 0) == expected).all()


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
def test_the_figure_wraps_into_rows_of_four_at_most(count, columns):
    figure = plot_erf({str(i): np.ones((9, 9)) for i in range(count)})
    assert figure.axes[0].get_gridspec().ncols == columns


def test_rows_of_the_figure():
    figure = plot_erf({name: np.random.default_rng(0).random((9, 9)) for name in 'abcd'}, columns=2)
    assert [axis.get_title() for axis in figure.axes[:4]] == list('abcd')
    limits = {image.get_clim() for axis in figure.axes[:4] for image in axis.images}
    # All maps share one colour scale.
    assert limits == {(0, 1)}
    assert '50% in' in figure.axes[3].get_xlabel()


def write_images(folder: Path, count: int) -> None:
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 255, (80, 90, 3), np.uint8)
        cv2.imwrite(str(folder / f'{number}.png'), pixels)


def measure(folder: Path, *arguments: str) -> list[dict]:
    """Run the command on the images of ``folder`` and return the lines of its table."""
    main(['erf', *arguments, '--images', str(folder), '--out', str(folder / 'out')])
    with (folder / 'out/erf.csv').open() as file:
        return list(csv.DictReader(file))


def test_the_command_compares_two_models(tmp_path):
    write_images(tmp_path, 2)
    configs = [f'upernet_{name}_pico_ade20k' for name in ('convnext', 'slak')]
    rows = measure(tmp_path, configs[0], '--and', configs[1], '--size', '96', '--stage', '2')
    assert {row['images'] for row in rows} == {'2'}
    sides = {row['model']: int(row['side in pixels']) for row in rows if row['share of contribution'] == '0.99'}
    # Strips of 51 reach the whole image, and kernels of 7x7 do not.
    assert sides[configs[0]] < sides[configs[1]]
    assert (tmp_path / 'out/erf.png').stat().st_size > 10_000

    with pytest.raises(SystemExit, match='no image'):
        main(['erf', configs[0], '--images', str(tmp_path / 'nowhere'), '--out', str(tmp_path / 'out')])


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """Weights whose depthwise convolutions have only their middle, so that the stages see a patch of the stem."""
    model = load_model(read_config(SEGMENTOR))
    with torch.no_grad():
        for weight in model.backbone.parameters():
            if weight.dim() == 4 and weight.shape[1] == 1:
                weight[..., :3, :] = weight[..., 4:, :] = 0
                weight[..., :3] = weight[..., 4:] = 0

    path = tmp_path_factory.mktemp('weights') / 'trained.pth'
    torch.save(dict(state_dict=model.state_dict()), path)
    return path


def test_trained_beside_untrained_weights(trained, tmp_path):
    write_images(tmp_path, 1)
    larger = [SEGMENTOR, 'model.backbone.kernel_sizes=[31,31,31,31]']
    options = ['--size', '64', '96', '--stage', '4', '--signed', '--and', *larger]
    rows = measure(tmp_path, SEGMENTOR, str(trained), '--untrained', *options)
    name, weights = SEGMENTOR, f'{trained.parent.name}/trained'
    assert {(row['model'], row['weights']) for row in rows} == {
        (name, 'random'),
        (name, weights),
        (f'{name}, kernel_sizes=[31,31,31,31]', 'random'),
    }
    assert {(row['stage'], row['images'], row['height'], row['width']) for row in rows} == {('4', '1', '64', '96')}

    sides = {}
    for row in rows:
        if row['share of contribution'] == '0.99':
            sides[row['model'], row['weights'], row['gradients']] = int(row['side in pixels'])
    assert len(sides) == 6
    for way in ('positive part', 'absolute value'):
        # The strides equal the kernels, so a place of stride 32 depends only on its own 32 pixels.
        assert sides[name, weights, way] <= 65 < sides[name, 'random', way]


def test_the_scores_of_a_head_are_measured_or_their_lack_is_named(trained, tmp_path):
    write_images(tmp_path, 1)
    rows = measure(tmp_path, SEGMENTOR, str(trained), '--size', '64', '--stage', 'head')
    assert {row['stage'] for row in rows} == {'head'}
    with pytest.raises(SystemExit, match='no decode_head'):
        measure(tmp_path, 'faster_rcnn_convnext_pico_voc07', '--size', '64', '--stage', 'head')


def test_one_model_twice_is_refused(trained, tmp_path):
    write_images(tmp_path, 1)
    with pytest.raises(SystemExit, match='same names'):
        measure(tmp_path, SEGMENTOR, str(trained), '--and', SEGMENTOR, str(trained))
