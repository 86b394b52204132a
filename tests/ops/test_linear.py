"""The linear layer through oneDNN against PyTorch's own, in float64."""

import pytest
import torch
import torch.nn.functional as F

from lkdense.ops import _linear, linear


def output_and_grads(layer, dtype, x, weight, bias):
    leaves = [t.detach().to(dtype).requires_grad_() for t in (x, weight, bias)]
    y = layer(*leaves)
    return dict(zip(('y', 'dx', 'dweight', 'dbias'), (y, *torch.autograd.grad(y.square().mean(), leaves))))


# Few pixels and many, widening and narrowing: the weight gradient is computed one way or the other.
@pytest.mark.parametrize(('channels', 'width'), [(7, 40), (40, 7), (33, 33)])
@pytest.mark.parametrize('shape', [(3,), (2, 9, 11), (0, 4, 4)], ids=str)
def test_error_is_at_most_twice_that_of_pytorch(shape, channels, width):
    x, weight, bias = torch.randn(*shape, channels), torch.randn(width, channels), torch.randn(width)
    if len(shape) > 1:
        # The channels lie apart, as in a map in the default memory format.
        x = x.movedim(-1, 1).contiguous().movedim(1, -1)

    truth = output_and_grads(F.linear, torch.float64, x, weight, bias)
    theirs, ours = (output_and_grads(layer, torch.float32, x, weight, bias) for layer in (F.linear, linear))
    for name, exact in truth.items():
        if exact.numel():
            allowed = 2 * (theirs[name] - exact).abs().max() + 1e-6 * exact.abs().max()
            assert (ours[name] - exact).abs().max() <= allowed, name
        assert ours[name].shape == exact.shape


@pytest.mark.parametrize('bias', [torch.arange(12.0)[::2], torch.ones(1).expand(6), torch.ones(1)], ids=str)
def test_a_bias_may_lie_anyhow(bias):
    x, weight = torch.randn(5, 8), torch.randn(6, 8)
    torch.testing.assert_close(linear(x, weight, bias), F.linear(x, weight, bias))


def test_what_onednn_is_not_for_goes_to_pytorch(monkeypatch):
    x, weight, bias = torch.randn(2, 5), torch.randn(3, 5), torch.randn(3)
    expected = F.linear(x, weight, bias)
    torch.testing.assert_close(torch.compile(linear, fullgraph=True, backend='eager')(x, weight, bias), expected)

    with torch.autocast('cpu', torch.bfloat16):
        assert linear(x, weight, bias).dtype == torch.bfloat16
    torch.testing.assert_close(linear(*(t.double() for t in (x, weight, bias))), expected.double())
    _, moved = torch.func.jvp(lambda image: linear(image, weight, bias), (x,), (x,))
    torch.testing.assert_close(moved, x @ weight.T)

    monkeypatch.setattr(_linear, 'has_onednn_linear', lambda: False)
    monkeypatch.setattr(_linear, 'onednn_linear', None)
    torch.testing.assert_close(linear(x, weight, bias), expected)
