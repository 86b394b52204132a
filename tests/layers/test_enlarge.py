"""Enlarged kernels begin where the model was, learn with all their taps, and take the weights from before."""

import pytest
import torch
from torch import nn

import lkdense
from lkdense import enlarge_kernels
from lkdense.layers import DepthwiseConv2d, SquareLargeKernel, merge_branches
from lkdense.layers.enlarge import EnlargedDepthwise

SMALL = dict(depths=(1, 1, 2, 1), dims=(8, 16, 24, 32))


def build_convnext():
    pytest.importorskip('mmengine')
    return lkdense.ConvNeXt(SMALL)


def build_of_host(scope, **config):
    pytest.importorskip(f'{scope}.utils')
    from mmengine.registry import MODELS, DefaultScope

    from lkdense.config import register_all_of

    register_all_of(scope)
    with DefaultScope.overwrite_default_scope(scope):
        return MODELS.build(config)


MODELS_TO_ENLARGE = {
    'our ConvNeXt': (build_convnext, 5),
    "mmseg's MobileNetV2": (lambda: build_of_host('mmseg', type='MobileNetV2', widen_factor=0.5), 13),
    "mmdet's CSPNeXt": (
        lambda: build_of_host('mmdet', type='CSPNeXt', deepen_factor=0.33, widen_factor=0.25),
        6,
    ),
}


@pytest.fixture(params=MODELS_TO_ENLARGE)
def case(request, randomize_norms):
    build, count = MODELS_TO_ENLARGE[request.param]
    model = randomize_norms(build())
    model.eval()
    return model, count


def test_the_output_is_unchanged_at_the_start_and_when_merged(case):
    model, count = case
    image = torch.randn(2, 3, 96, 128)

    with torch.no_grad():
        before = model(image)
        names = enlarge_kernels(model, 13)
        assert len(names) == count
        assert all(model.get_submodule(name).kernel_size == (13, 13) for name in names)

        after = model(image)

        for layer in model.modules():
            if isinstance(layer, EnlargedDepthwise):
                layer.small.weight.normal_(std=0.01)

        trained = model(image)
        merge_branches(model)
        merged = model(image)

    assert not any(isinstance(layer, EnlargedDepthwise) for layer in model.modules())
    for a, b, c, d in zip(before, after, trained, merged, strict=True):
        assert (a - b).abs().max() <= 1e-5 * a.abs().max()
        assert (c - d).abs().max() <= 1e-5 * c.abs().max()
        assert (a - c).abs().max() > 1e-4 * a.abs().max()


def test_gradients_reach_the_new_taps(case):
    model, _ = case
    names = enlarge_kernels(model, 13)
    # At stride 32 the map has 8 x 8 pixels. The outer taps, 6 pixels from the middle, still meet some of them.
    sum(y.square().mean() for y in model(torch.randn(2, 3, 256, 256))).backward()
    for name in names:
        layer = model.get_submodule(name)
        assert layer.weight.grad[:, :, 0, 0].abs().sum() > 0
        assert layer.small.weight.grad.abs().sum() > 0


def test_a_checkpoint_from_before_loads(case):
    model, _ = case
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = model(image)

    saved = {key: value.clone() for key, value in model.state_dict().items()}

    enlarge_kernels(model, 13)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()

    model.load_state_dict(saved)
    with torch.no_grad():
        for a, b in zip(model(image), expected, strict=True):
            assert (a - b).abs().max() <= 1e-5 * b.abs().max()


def test_layers_are_chosen_by_name():
    model = build_convnext()
    names = enlarge_kernels(model, {r'stages\.3': 31, r'stages\.2\.1': (9, 7)}, small_kernel=None)
    assert names == ['stages.2.1.depthwise', 'stages.3.0.depthwise']
    assert model.stages[2][1].depthwise.weight.shape == (24, 1, 9, 7)
    assert model.stages[3][0].depthwise.small is None
    assert isinstance(model.stages[0][0].depthwise, DepthwiseConv2d)


def test_a_dilated_kernel_becomes_a_dense_one():
    net = nn.Sequential(nn.Conv2d(8, 8, 3, padding=2, groups=8, dilation=2), nn.Conv2d(8, 8, 1))
    before, image = {name: value.clone() for name, value in net.state_dict().items()}, torch.randn(1, 8, 20, 20)

    with torch.no_grad():
        expected = net(image)
        assert enlarge_kernels(net, 7) == ['0']
        assert torch.allclose(net(image), expected, atol=1e-6)

        net[0].weight.normal_()
        net.load_state_dict(before)
        assert torch.allclose(net(image), expected, atol=1e-6)

        # An enlarged kernel is not dilated once more.
        net.load_state_dict(net.state_dict())
        assert torch.allclose(net(image), expected, atol=1e-6)


def test_other_convolutions_stay():
    net = nn.Sequential(
        nn.Conv2d(8, 8, 3, padding=1),
        nn.Conv2d(8, 8, 3, padding=1, groups=8, stride=2),
        nn.Conv2d(8, 8, 3, padding=6, groups=8, dilation=6),
        nn.Conv2d(8, 8, 3, padding=2, groups=8),
        nn.Conv2d(8, 8, 3, padding=1, groups=8, padding_mode='reflect'),
        SquareLargeKernel(8, 7, small_kernel=3),
        nn.Conv2d(8, 8, 3, groups=8),
        nn.Conv2d(8, 16, 3, padding=1, groups=8),
        nn.Conv2d(8, 8, 15, padding=7, groups=8),
        nn.Conv2d(8, 8, (1, 21), padding=(0, 10), groups=8),
    )

    with pytest.raises(ValueError, match='in this Sequential can be enlarged to 13') as caught:
        enlarge_kernels(net, 13)
    reasons = str(caught.value).partition('there are: ')[2].split(', ')
    assert reasons == [
        '1 of another stride than 1',
        '3 that are as large or larger',
        "3 with another padding than 'same' by zeros",
    ]
    with pytest.raises(ValueError, match='there are: 7 with other names'):
        enlarge_kernels(net, {'unheard of': 13})

    with pytest.raises(ValueError, match='there are: none'):
        enlarge_kernels(nn.Sequential(nn.Linear(3, 3)), 13)


@pytest.mark.parametrize(
    ('size', 'small', 'message'),
    [(4, 5, 'odd'), ((31, 3), 5, 'cannot be enlarged'), (9, 9, 'small_kernel must be smaller than the kernel')],
)
def test_kernels_that_do_not_fit_are_refused(size, small, message):
    with pytest.raises(ValueError, match=message):
        EnlargedDepthwise(nn.Conv2d(8, 8, 7, padding=3, groups=8), size, small)
