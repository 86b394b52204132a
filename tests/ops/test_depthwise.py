"""Every backend of the depthwise convolution against a loop written out, and against eager in float64."""

import pytest
import torch

from lkdense.ops import BACKENDS, depthwise, depthwise_conv2d

SHAPES = {  # N, C, H, W, kh, kw
    'square': (2, 8, 33, 47, 31, 31),
    'vertical_strip': (1, 3, 64, 20, 51, 5),
    'horizontal_strip': (1, 3, 20, 64, 5, 51),
    'kernel_over_image': (1, 4, 7, 9, 13, 13),
    'pointwise': (2, 3, 5, 6, 1, 1),
}


def tensors(shape, dtype=torch.float32, device='cpu'):
    n, c, h, w, kh, kw = shape
    return [torch.randn(s, device=device, dtype=dtype) for s in ((n, c, h, w), (c, 1, kh, kw), (c,))]


def output_and_grads(backend, dtype, *leaves):
    leaves = [t.detach().to(dtype).requires_grad_() for t in leaves]
    y = depthwise_conv2d(*leaves, backend=backend)
    return dict(zip(('y', 'dx', 'dweight', 'dbias'), (y, *torch.autograd.grad(y.square().mean(), leaves))))


def runnable(backend, x, weight):
    if reason := BACKENDS[backend].refusal(x, weight):
        pytest.skip(reason)


@pytest.mark.parametrize('backend', BACKENDS)
def test_equals_the_definition(backend):
    x, weight, bias = tensors((1, 2, 4, 5, 3, 5), torch.float64)
    runnable(backend, x, weight)
    y = depthwise_conv2d(x, weight, bias, backend=backend)
    for c, i, j in ((0, 0, 0), (1, 2, 3), (0, 3, 4)):
        by_hand = bias[c].clone()
        for u in range(3):
            for v in range(5):
                row, column = i + u - 1, j + v - 2
                if 0 <= row < 4 and 0 <= column < 5:
                    by_hand += weight[c, 0, u, v] * x[0, c, row, column]
        torch.testing.assert_close(y[0, c, i, j], by_hand)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize('shape', SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize('backend', BACKENDS)
def test_error_is_at_most_twice_that_of_eager(backend, shape, dtype, device):
    leaves = tensors(shape, dtype, device)
    runnable(backend, *leaves[:2])
    truth = output_and_grads('eager', torch.float64, *leaves)
    eager, ours = (output_and_grads(name, dtype, *leaves) for name in ('eager', backend))
    for name, exact in truth.items():
        allowed = 2 * (eager[name] - exact).abs().max() + 1e-6 * exact.abs().max()
        assert (ours[name] - exact).abs().max() <= allowed, name


@pytest.mark.parametrize('backend', BACKENDS)
def test_gradcheck(backend):
    leaves = [t.requires_grad_() for t in tensors((2, 2, 4, 6, 3, 5), torch.float64)]
    runnable(backend, *leaves[:2])
    assert torch.autograd.gradcheck(lambda *args: depthwise_conv2d(*args, backend=backend), leaves)


@pytest.mark.parametrize('layout', ['channels_last', 'cropped', 'transposed'])
@pytest.mark.parametrize('backend', BACKENDS)
def test_memory_format_does_not_matter(backend, layout):
    x, weight, bias = tensors((2, 4, 12, 12, 7, 5))
    runnable(backend, x, weight)
    other = {
        'channels_last': lambda: x.contiguous(memory_format=torch.channels_last),
        'cropped': lambda: torch.randn(2, 4, 30, 30)[..., 3:15, 4:16].copy_(x),
        'transposed': lambda: x.transpose(2, 3).contiguous().transpose(2, 3),
    }[layout]()
    assert other.stride() != x.stride()
    torch.testing.assert_close(
        depthwise_conv2d(other, weight, bias, backend=backend), depthwise_conv2d(x, weight, bias, backend=backend)
    )


@pytest.mark.parametrize('backend', BACKENDS)
def test_empty_batch(backend):
    x, weight, bias = tensors((0, 3, 8, 8, 5, 5))
    runnable(backend, x, weight)
    assert depthwise_conv2d(x, weight, bias, backend=backend).shape == x.shape


def test_compiles_without_graph_breaks():
    x, weight, bias = tensors((1, 3, 8, 8, 5, 5))
    compiled = torch.compile(depthwise_conv2d, fullgraph=True, backend='aot_eager')
    torch.testing.assert_close(compiled(x, weight, bias), depthwise_conv2d(x, weight, bias))


def test_autocast_decides_the_dtype():
    x, weight, bias = tensors((1, 3, 8, 8, 5, 5))
    with torch.autocast('cpu', torch.bfloat16):
        assert depthwise_conv2d(x.bfloat16(), weight, bias).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(x=torch.zeros(3, 8, 8)), r'x must be \[N, C, H, W\], got shape \(3, 8, 8\)'),
        (dict(weight=torch.zeros(4, 1, 5, 5)), r'weight must be \[3, 1, kh, kw\]'),
        (dict(weight=torch.zeros(3, 1, 4, 5)), r'kernel sizes must be odd, got \(4, 5\)'),
        (dict(bias=torch.zeros(4)), r'bias must be \[3\], got \(4,\)'),
        (dict(weight=torch.zeros(3, 1, 5, 5).double()), 'one dtype, got torch.float32 and torch.float64'),
        (dict(x=torch.zeros(1, 3, 8, 8).long()), 'floating-point'),
        (dict(backend='cudnn'), "backend must be one of .*eager.*, got 'cudnn'"),
    ],
)
def test_bad_input_is_refused(change, message):
    arguments = dict(zip(('x', 'weight', 'bias'), tensors((1, 3, 8, 8, 5, 5)))) | change
    with pytest.raises(ValueError, match=message):
        depthwise_conv2d(**arguments)


def test_a_backend_that_refuses_says_why(monkeypatch):
    monkeypatch.setattr(BACKENDS['eager'], 'refusal', lambda x, weight: 'it is Sunday')
    with pytest.raises(ValueError, match='eager: it is Sunday'):
        depthwise_conv2d(*tensors((1, 3, 8, 8, 5, 5)), backend='eager')


def test_the_environment_sets_the_default(monkeypatch):
    monkeypatch.setattr(depthwise, 'FORCED', 'no such backend')
    with pytest.raises(ValueError, match='no such backend'):
        depthwise_conv2d(*tensors((1, 3, 8, 8, 5, 5)))
