"""Layers: merging against numbers, and the few that have arithmetic of their own."""

from itertools import product

import pytest
import torch
from torch import nn

from lkdense.layers import (
    ConvNorm,
    DepthwiseConv2d,
    DilatedLargeKernel,
    DropPath,
    GRNProjection,
    LayerNorm2d,
    PointwiseConv2d,
    SquareLargeKernel,
    StripLargeKernel,
    drop_path_rates,
    kernel_pair,
)
from lkdense.layers.reparam import pad_kernel

MERGEABLE = {
    'conv_norm': lambda: ConvNorm(nn.Conv2d(6, 6, 3, stride=2, padding=1, bias=False)),
    'conv_norm_with_bias': lambda: ConvNorm(nn.Conv2d(6, 8, 1)),
    'square': lambda: SquareLargeKernel(6, 13, 5),
    'square_alone': lambda: SquareLargeKernel(6, (9, 13), None),
    'dilated': lambda: DilatedLargeKernel(6, 13),
    'dilated_in_norm': lambda: ConvNorm(DilatedLargeKernel(6, 9)),
    'strips': lambda: StripLargeKernel(6, 21, 5),
    'strips_of_a_rectangle': lambda: StripLargeKernel(6, (7, 21), 3),
}


@pytest.mark.parametrize('make', MERGEABLE.values(), ids=MERGEABLE)
def test_merged_layer_gives_the_same_numbers(make, randomize_norms):
    layer = randomize_norms(make()).double().eval()
    x = torch.randn(2, 6, 17, 19, dtype=torch.float64)
    before = layer(x)
    merged = layer.merged().eval()
    assert not [m for m in merged.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    torch.testing.assert_close(merged(x), before, rtol=0, atol=1e-10)
    # Merging leaves the layer itself as it was.
    torch.testing.assert_close(layer(x), before, rtol=0, atol=0)


def test_merged_grn_projection_gives_the_same_numbers(randomize_norms):
    layer = randomize_norms(GRNProjection(6, 4)).double().eval()
    nn.init.normal_(layer.gamma)
    nn.init.normal_(layer.beta)
    x = torch.randn(2, 5, 7, 6, dtype=torch.float64)
    merged = layer.merged().eval()
    assert merged.norm is None
    torch.testing.assert_close(merged(x), layer(x), rtol=0, atol=1e-10)
    assert merged.merged() is merged


def test_a_norm_without_statistics_is_not_merged():
    layer = ConvNorm(nn.Conv2d(3, 4, 1)).eval()
    layer.norm = nn.BatchNorm2d(4, track_running_stats=False).eval()
    with torch.no_grad():
        assert layer(torch.randn(2, 3, 5, 5)).mean().abs() < 1e-5
    with pytest.raises(ValueError, match='must have running statistics'):
        layer.merged()


def test_only_a_convolution_is_merged_with_its_norm():
    class TwoStrips(StripLargeKernel):
        out_channels = 4

    with pytest.raises(TypeError, match='only a convolution merges with its norm, got StripPair'):
        ConvNorm(TwoStrips(4, 9, 3)).merged()


def test_strips_cover_a_cross():
    layer = StripLargeKernel(1, 9, 3).eval()
    for branch in (layer.vertical, layer.horizontal, layer.small):
        nn.init.ones_(branch.conv.weight)
    x = torch.zeros(1, 1, 15, 15)
    x[0, 0, 7, 7] = 1

    rows, columns = layer(x)[0, 0].nonzero().unbind(1)
    touched = set(zip(rows.tolist(), columns.tolist()))
    vertical = set(product(range(3, 12), range(6, 9)))
    horizontal = set(product(range(6, 9), range(3, 12)))
    assert touched == vertical | horizontal


@pytest.mark.parametrize('layer', [SquareLargeKernel, StripLargeKernel])
def test_small_kernel_must_be_smaller(layer):
    with pytest.raises(ValueError, match='small_kernel must be smaller than the kernel 5, got 5'):
        layer(4, 5, 5)


def test_strips_need_a_short_side():
    with pytest.raises(ValueError, match='strips need a small_kernel'):
        StripLargeKernel(4, 13, None)


@pytest.mark.parametrize('bad', [4, 0, -3, 5.0, (3, 4), (3, 3, 3), '7'])
def test_kernel_sizes_are_odd(bad):
    with pytest.raises(ValueError, match='odd int or a'):
        kernel_pair(bad)


def test_pad_kernel_keeps_the_centre():
    padded = pad_kernel(torch.ones(1, 1, 1, 3), (3, 5))
    assert padded[0, 0].tolist() == [[0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]]
    with pytest.raises(ValueError, match='cannot be centred'):
        pad_kernel(torch.ones(1, 1, 2, 3), (3, 5))


def test_depthwise_conv2d_is_a_conv2d():
    ours, torchs = DepthwiseConv2d(4, (5, 3)), nn.Conv2d(4, 4, (5, 3), padding=(2, 1), groups=4)
    torchs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 4, 9, 8)
    torch.testing.assert_close(ours(x), torchs(x))
    for name in ('stride', 'padding', 'dilation', 'groups', 'kernel_size', 'in_channels', 'out_channels'):
        assert getattr(ours, name) == getattr(torchs, name)


def test_layer_norm_2d_normalizes_each_pixel():
    norm = LayerNorm2d(3)
    nn.init.uniform_(norm.weight)
    nn.init.uniform_(norm.bias)
    x = torch.randn(2, 3, 4, 5)
    by_hand = (x - x.mean(1, keepdim=True)) / torch.sqrt(x.var(1, unbiased=False, keepdim=True) + 1e-6)
    torch.testing.assert_close(norm(x), by_hand * norm.weight.view(1, 3, 1, 1) + norm.bias.view(1, 3, 1, 1))


def test_drop_path_drops_whole_samples_and_keeps_the_mean():
    x = torch.ones(4000, 2, 3)
    y = DropPath(0.25)(x)
    assert y.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert (y.flatten(1).std(1) == 0).all()
    assert y.mean() == pytest.approx(1, abs=0.05)
    torch.testing.assert_close(DropPath(0.25).eval()(x), x)
    with pytest.raises(ValueError, match=r'\[0, 1\), got 1'):
        DropPath(1.0)


def test_drop_path_rates_grow_linearly():
    assert drop_path_rates(0.4, (2, 3)) == [[0, pytest.approx(0.1)], pytest.approx([0.2, 0.3, 0.4])]


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last], ids=str)
def test_pointwise_conv2d_is_a_conv2d(layout):
    ours, theirs = PointwiseConv2d(6, 4), nn.Conv2d(6, 4, 1)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 6, 5, 7).contiguous(memory_format=layout)
    assert ours(x).is_contiguous(memory_format=layout)
    torch.testing.assert_close(ours(x), theirs(x))
