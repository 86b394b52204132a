"""Where a private name of PyTorch is missing, the results stay right."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import forward_ad

from lkdense.layers import GELU, SquareLargeKernel, reparam
from lkdense.ops import _torch_internals, chosen_backend, depthwise_conv2d, linear, strips_conv2d
from lkdense.ops._torch_internals import (
    gelu_,
    has_hooks,
    has_onednn_linear,
    is_recorded,
    is_transformed,
    multiply_all_,
)


class WithoutHookLists(nn.ReLU):
    """A module of a PyTorch that names its lists of hooks otherwise."""

    def __getattribute__(self, name):
        if name in ('_forward_hooks', '_forward_pre_hooks'):
            raise AttributeError(name)
        return super().__getattribute__(name)


@pytest.fixture
def try_onednn_anew():
    """Forget what was found out about oneDNN, before the test and after it."""
    has_onednn_linear.cache_clear()
    yield
    has_onednn_linear.cache_clear()


def test_transforms_are_noticed():
    assert not is_transformed()
    answers = []

    def record(x):
        answers.append(is_transformed())
        return x

    torch.vmap(record)(torch.ones(2))
    torch.func.grad(record)(torch.tensor(1.0))
    torch.func.jvp(record, (torch.ones(2),), (torch.ones(2),))
    with forward_ad.dual_level():
        record(torch.ones(2))
    assert answers == [True] * 4
    assert not is_transformed()


@pytest.mark.parametrize(
    ('holder', 'name'), [(torch._C._functorch, 'peek_interpreter_stack'), (forward_ad, '_current_level')]
)
def test_without_the_state_of_transforms_pytorchs_own_operators_run(holder, name, monkeypatch):
    x, weight, strip = torch.randn(1, 2, 64, 64), torch.randn(2, 1, 31, 31), torch.randn(2, 1, 31, 5)
    expected = depthwise_conv2d(x, weight, backend='eager')
    expected_strips = strips_conv2d(x, strip, strip.mT, backend='eager')
    assert chosen_backend(x, weight) == 'fft'

    monkeypatch.delattr(holder, name)
    assert is_transformed()
    assert chosen_backend(x, weight) == 'eager'
    with torch.no_grad():
        torch.testing.assert_close(depthwise_conv2d(x, weight), expected)
        torch.testing.assert_close(strips_conv2d(x, strip, strip.mT), expected_strips)
        torch.testing.assert_close(GELU()(x), F.gelu(x))


def test_without_the_state_of_transforms_no_layer_is_merged_on_the_fly(monkeypatch):
    layer, x = SquareLargeKernel(2, 7, 3).eval(), torch.randn(1, 2, 16, 16)
    expected = layer(x)
    monkeypatch.delattr(forward_ad, '_current_level')
    with torch.no_grad():
        torch.testing.assert_close(layer(x), expected)
    assert layer._cache is None


@pytest.mark.parametrize('error', [AttributeError, RuntimeError, TypeError])
def test_where_onednns_operator_is_missing_or_changed_pytorch_multiplies(error, monkeypatch, try_onednn_anew):
    def fail(*_):
        raise error('no such operator, or other arguments')

    monkeypatch.setattr(_torch_internals, 'onednn_linear', fail)
    assert not has_onednn_linear()
    x, weight, bias = torch.randn(5, 3), torch.randn(4, 3), torch.randn(4)
    torch.testing.assert_close(linear(x, weight, bias), F.linear(x, weight, bias))


def test_without_onednn_pytorch_multiplies(monkeypatch, try_onednn_anew):
    monkeypatch.setattr(torch.backends.mkldnn, 'is_available', lambda: False)
    assert not has_onednn_linear()
    x, weight = torch.randn(5, 3), torch.randn(4, 3)
    torch.testing.assert_close(linear(x, weight), F.linear(x, weight))


@pytest.mark.parametrize('approximate', ['none', 'tanh'])
def test_without_the_operator_gelu_is_copied_into_place(approximate, monkeypatch):
    class NoOperators:
        pass

    x = torch.randn(100)
    expected = F.gelu(x, approximate=approximate)
    monkeypatch.setattr(torch.ops, 'aten', NoOperators())
    result = gelu_(x, approximate)
    assert result is x
    torch.testing.assert_close(result, expected)


def test_hooks_are_noticed_at_any_depth():
    net = nn.Sequential(nn.Sequential(nn.ReLU()))
    assert not has_hooks(net)
    handle = net[0][0].register_forward_hook(lambda *_: None)
    assert has_hooks(net)
    handle.remove()
    net[0].register_forward_pre_hook(lambda *_: None)
    assert has_hooks(net)


def test_modules_without_lists_of_hooks_count_as_hooked():
    assert has_hooks(nn.Sequential(WithoutHookLists()))


def test_without_lists_of_hooks_no_layer_is_merged_on_the_fly(monkeypatch):
    layer, x = SquareLargeKernel(2, 7, 3).eval(), torch.randn(1, 2, 16, 16)
    expected = layer(x)
    monkeypatch.setattr(reparam, 'has_hooks', lambda _: has_hooks(WithoutHookLists()))
    with torch.no_grad():
        torch.testing.assert_close(layer(x), expected)
    assert layer._cache is None


def test_without_torch_jit_nothing_is_recorded(monkeypatch):
    monkeypatch.delattr(torch.jit, 'is_tracing')
    assert not is_recorded()


@pytest.mark.parametrize('is_there', [True, False])
def test_tensors_are_multiplied_in_place_with_and_without_the_call_for_all(is_there, monkeypatch):
    if not is_there:
        monkeypatch.delattr(torch, '_foreach_mul_')
    tensors = [torch.full((2,), 3.0), torch.full((2, 2), 5.0)]
    kept = list(tensors)

    multiply_all_(tensors, [torch.tensor([0.0, 1.0]), torch.full((2, 2), 2.0)])
    assert kept[0].tolist() == [0, 3]
    assert kept[1].tolist() == [[10, 10], [10, 10]]
