"""What runs in evaluation without gradients, merged and in place, gives what training mode's way would give."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch.nn.utils.parametrize import is_parametrized

import lkdense
from lkdense.layers import GELU, ConvNorm, DilatedLargeKernel, SquareLargeKernel, StripLargeKernel

BRANCHES = {
    'square': lambda: SquareLargeKernel(4, 13, 5),
    'strips': lambda: StripLargeKernel(4, 13, 5),
    'dilated': lambda: DilatedLargeKernel(4, 9),
}


@pytest.fixture(params=BRANCHES.values(), ids=BRANCHES)
def layer(request, randomize_norms):
    return randomize_norms(request.param()).eval()


@pytest.fixture
def _mmengine():
    """Skip a test of whole backbones where they cannot be imported."""
    pytest.importorskip('mmengine')


def first_conv(layer):
    return next(part for part in layer.modules() if isinstance(part, nn.Conv2d))


def run_both_ways(layer, x):
    """Return the outputs with gradients, which run branch by branch, and without."""
    with torch.no_grad():
        quick = layer(x.clone())
    return layer(x.clone()).detach(), quick


def change_weight(layer):
    first_conv(layer).weight.data.mul_(2)


def change_epsilon(layer):
    next(part for part in layer.modules() if isinstance(part, nn.SyncBatchNorm)).eps = 0.5


def prune_weights(layer):
    prune.l1_unstructured(first_conv(layer), 'weight', 0.5)


def normalize_weights(layer):
    parametrizations.weight_norm(first_conv(layer))


def register_hook(layer):
    first_conv(layer).register_forward_hook(lambda module, inputs, output: output * 2)


@pytest.mark.parametrize('change', [change_weight, change_epsilon, prune_weights, normalize_weights, register_hook])
def test_the_cached_layer_follows_every_change(change, layer):
    x = torch.randn(2, 4, 20, 20)
    torch.testing.assert_close(*run_both_ways(layer, x))
    change(layer)
    slow, quick = run_both_ways(layer, x)
    torch.testing.assert_close(quick, slow)
    assert (change is normalize_weights) == any(map(is_parametrized, layer.modules()))


def test_norms_that_train_in_an_evaluated_layer_take_up_statistics(layer):
    # A CPU refuses to train SyncBatchNorm.
    branch = next(part for part in layer.modules() if isinstance(part, ConvNorm))
    norm = branch.norm = nn.BatchNorm2d(branch.norm.num_features)
    before = norm.running_mean.clone()
    with torch.no_grad():
        layer(torch.randn(2, 4, 20, 20) + 1)
    assert not torch.equal(norm.running_mean, before)


def test_a_backend_that_is_named_later_is_taken(layer):
    x = torch.randn(1, 4, 20, 20)
    run_both_ways(layer, x)
    for part in layer.modules():
        if hasattr(part, 'backend'):
            part.backend = 'unheard of'
    with torch.no_grad(), pytest.raises(ValueError, match='unheard of'):
        layer(x)


def test_training_lets_go_of_the_cached_layer(layer):
    run_both_ways(layer, torch.randn(1, 4, 20, 20))
    assert layer._cache is not None
    assert layer.train()._cache is None


@pytest.mark.filterwarnings('ignore::torch.jit.TracerWarning')
def test_a_cached_layer_does_not_stand_in_the_way_of_tracing(layer):
    x = torch.randn(1, 4, 20, 20)
    expected, _ = run_both_ways(layer, x)
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.trace(layer, x)(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures('_mmengine')
@pytest.mark.parametrize(
    'make', [lambda: lkdense.ConvNeXt('pico'), lambda: lkdense.SLaK('pico')], ids=['ConvNeXt', 'SLaK']
)
def test_maps_that_a_hook_keeps_are_not_overwritten(make):
    net, x, outputs = make().eval(), torch.randn(1, 3, 64, 64), {}
    for name, part in net.named_modules():
        if not list(part.children()):
            part.register_forward_hook(lambda module, inputs, output, name=name: outputs.setdefault(name, output))

    net(x)
    expected, outputs = outputs, {}
    with torch.no_grad():
        net(x)

    assert outputs.keys() == expected.keys()
    for name, output in outputs.items():
        torch.testing.assert_close(output, expected[name], rtol=1e-3, atol=1e-4, msg=name)


def test_gelu_keeps_its_approximation():
    x = torch.randn(100)
    with torch.no_grad():
        for approximate in ('none', 'tanh'):
            torch.testing.assert_close(GELU(approximate)(x.clone()), nn.GELU(approximate)(x))


TINY = dict(depths=(1, 1, 1, 1), dims=(8, 8, 8, 8))


@pytest.mark.usefixtures('_mmengine')
@pytest.mark.parametrize(
    'make',
    [
        lambda: lkdense.ConvNeXt(TINY),
        lambda: lkdense.SLaK(TINY, kernel_sizes=(13, 13, 13, 5), small_kernel=3),
        lambda: lkdense.RepLKNet('pico'),
    ],
    ids=['ConvNeXt', 'SLaK', 'RepLKNet'],
)
def test_transforms_of_functions_see_the_same_numbers(make):
    net = make().eval()
    x, direction = torch.randn(2, 1, 3, 64, 64).double()
    net.double()

    _, moved = torch.func.jvp(lambda image: net(image)[0], (x,), (direction,))
    step = 1e-6
    with torch.no_grad():
        expected = (net(x + step * direction)[0] - net(x - step * direction)[0]) / (2 * step)
        several = torch.vmap(lambda image: net(image)[3])(torch.stack([x, direction]))
        torch.testing.assert_close(several[1], net(direction)[3])
    torch.testing.assert_close(moved, expected, rtol=1e-4, atol=1e-5)

    def loss(values):
        return torch.func.functional_call(net, values, (x,))[0].square().mean()

    gradients = torch.func.grad(loss)({name: value.detach() for name, value in net.named_parameters()})
    net(x)[0].square().mean().backward()
    name, first = next(iter(net.named_parameters()))
    torch.testing.assert_close(gradients[name], first.grad)
