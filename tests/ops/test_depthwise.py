"""Every backend of the depthwise convolution against a loop written out, and against eager in float64."""

import random
import runpy
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from lkdense.ops import BACKENDS, _fft, chosen_backend, depthwise, depthwise_conv2d, refusals, strips_conv2d

SHAPES = {  # N, C, H, W, kh, kw
    'square': (2, 2, 33, 40, 19, 19),
    'vertical_strip': (1, 3, 64, 20, 51, 5),
    'horizontal_strip': (1, 3, 20, 64, 5, 51),
    'kernel_over_image': (1, 4, 7, 9, 13, 13),
    'kernel_far_over_image': (1, 2, 6, 5, 31, 31),
    'one_beyond_the_default_format': (1, 2, 20, 30, 15, 13),
    'pointwise': (2, 3, 5, 6, 1, 1),
}


def draw_tensors(shape, dtype=torch.float32, device='cpu'):
    n, c, h, w, kh, kw = shape
    return [torch.randn(s, device=device, dtype=dtype) for s in ((n, c, h, w), (c, 1, kh, kw), (c,))]


def output_and_grads(backend, dtype, *leaves):
    leaves = [t.detach().to(dtype).requires_grad_() for t in leaves]
    # On a CPU with AVX512-FP16 oneDNN's own weight gradient in float16 takes minutes.
    without_onednn = backend == 'eager' and dtype == torch.float16
    with torch.backends.mkldnn.flags(enabled=False) if without_onednn else nullcontext():
        y = depthwise_conv2d(*leaves, backend=backend)
        grads = torch.autograd.grad(y.square().mean(), leaves)

    return dict(zip(('y', 'dx', 'dweight', 'dbias'), (y, *grads)))


def assert_errors_are_small(truth, eager, ours, label=''):
    """Check that ours errs at most twice as much as eager in the same dtype; the truth is eager in float64."""
    for name, exact in truth.items():
        allowed = 2 * (eager[name] - exact).abs().max() + 1e-6 * exact.abs().max()
        assert (ours[name] - exact).abs().max() <= allowed, f'{name} {label}'


def skip_if_refused(backend, x, weight):
    if reason := BACKENDS[backend].refusal(x, weight):
        pytest.skip(reason)


@pytest.mark.parametrize('backend', BACKENDS)
def test_equals_the_definition(backend):
    x, weight, bias = draw_tensors((1, 2, 4, 5, 3, 5), torch.float64)
    skip_if_refused(backend, x, weight)
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
    leaves = draw_tensors(shape, dtype, device)
    skip_if_refused(backend, *leaves[:2])
    truth = output_and_grads('eager', torch.float64, *leaves)
    eager, ours = (output_and_grads(name, dtype, *leaves) for name in ('eager', backend))
    assert_errors_are_small(truth, eager, ours)


@pytest.mark.parametrize('backend', BACKENDS)
def test_gradcheck(backend):
    leaves = [t.requires_grad_() for t in draw_tensors((2, 2, 3, 4, 3, 5), torch.float64)]
    skip_if_refused(backend, *leaves[:2])
    assert torch.autograd.gradcheck(lambda *args: depthwise_conv2d(*args, backend=backend), leaves)


@pytest.mark.parametrize('layout', ['channels_last', 'cropped', 'transposed'])
@pytest.mark.parametrize('backend', BACKENDS)
def test_memory_format_does_not_matter(backend, layout):
    x, weight, bias = draw_tensors((2, 4, 12, 12, 7, 5))
    skip_if_refused(backend, x, weight)
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
    x, weight, bias = draw_tensors((0, 3, 8, 8, 5, 5))
    skip_if_refused(backend, x, weight)
    assert depthwise_conv2d(x, weight, bias, backend=backend).shape == x.shape


@pytest.mark.parametrize('backend', BACKENDS)
def test_image_of_several_tiles(backend, monkeypatch):
    monkeypatch.setattr(_fft, 'TILE', 16)
    leaves = draw_tensors((1, 2, 50, 37, 9, 13))
    skip_if_refused(backend, *leaves[:2])
    truth = output_and_grads('eager', torch.float64, *leaves)
    for name, result in output_and_grads(backend, torch.float32, *leaves).items():
        torch.testing.assert_close(result.double(), truth[name], rtol=0, atol=1e-5 * truth[name].abs().max().item())


def draw_case(generator):
    """Draw shape, layout and dtype of a call: kernels from 1 to 61, images smaller and larger than them."""
    kernel = [2 * generator.randrange(31) + 1 for _ in range(2)]
    if generator.random() < 0.5:
        kernel[generator.randrange(2)] = generator.choice((1, 3, 5))

    # For a single channel PyTorch's own weight gradient crashes where the kernel is far higher than the image.
    shape = generator.randrange(1, 4), generator.randrange(2, 7), *(generator.randrange(1, 41) for _ in range(2))
    layout = generator.choice(('contiguous', 'channels_last', 'transposed', 'cropped', 'every_second'))
    return (*shape, *kernel), layout, generator.choice((torch.float32, torch.float32, torch.float16, torch.bfloat16))


def lay_out(x, layout):
    """Return the values of ``x`` with the strides of ``layout``."""
    n, c, h, w = x.shape
    empty = {
        'contiguous': lambda: x.new_empty(n, c, h, w),
        'channels_last': lambda: x.new_empty(n, h, w, c).permute(0, 3, 1, 2),
        'transposed': lambda: x.new_empty(n, c, w, h).mT,
        'cropped': lambda: x.new_empty(n, c + 1, h + 3, w + 2)[:, 1:, 2:-1, 1:-1],
        'every_second': lambda: x.new_empty(n, c, 2 * h, 2 * w)[..., ::2, ::2],
    }[layout]()
    return empty.copy_(x)


CASES_PER_SEED = 30
# In the interpreter Triton takes seconds for a large kernel.
SLOW_ON_CPU = () if torch.cuda.is_available() else pytest.mark.slow


@pytest.mark.parametrize('seed', range(10))
@pytest.mark.parametrize(
    'backend',
    [pytest.param(name, marks=SLOW_ON_CPU if name == 'triton' else ()) for name in BACKENDS if name != 'eager'],
)
def test_random_cases_against_float64(backend, seed, device):
    generator = random.Random(seed)
    for _ in range(CASES_PER_SEED):
        shape, layout, dtype = draw_case(generator)
        x, weight, bias = draw_tensors(shape, dtype, device)
        skip_if_refused(backend, x, weight)
        truth = output_and_grads('eager', torch.float64, x, weight, bias)
        eager = output_and_grads('eager', dtype, x, weight, bias)
        ours = output_and_grads(backend, dtype, lay_out(x, layout), weight, bias)
        assert_errors_are_small(truth, eager, ours, label=f'{shape} {layout} {dtype}')


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('bias', [torch.arange(8.0)[::2], torch.ones(1).expand(4)], ids=['strided', 'expanded'])
def test_a_bias_may_lie_anyhow(backend, bias):
    x, weight, _ = draw_tensors((1, 4, 6, 7, 5, 3))
    skip_if_refused(backend, x, weight)
    expected = depthwise_conv2d(x, weight, bias.clone(), backend='eager')
    torch.testing.assert_close(depthwise_conv2d(x, weight, bias, backend=backend), expected)


@pytest.mark.parametrize('backend', ['cpu', 'fft', 'triton'])
@pytest.mark.parametrize('kernel', [(5, 3), (3, 5)])
def test_operators_keep_what_they_promise(backend, kernel):
    """Fake results have the shape and strides of real ones, nothing is written to, and gradients compile."""
    leaves = [t.requires_grad_() for t in draw_tensors((2, 3, 8, 9, *kernel))]
    skip_if_refused(backend, *leaves[:2])
    conv = dict(cpu='direct_conv', fft='spectral_conv', triton='banded_conv')[backend]
    gradient = dict(cpu='spectral_weight_gradient', fft='spectral_weight_gradient', triton='banded_weight_gradient')
    torch.library.opcheck(getattr(torch.ops.lkdense, conv).default, leaves)

    x, weight, _ = (leaf.detach() for leaf in leaves)
    arguments = (x, torch.randn_like(x), *weight.shape[2:])
    torch.library.opcheck(getattr(torch.ops.lkdense, gradient[backend]).default, arguments)


def test_the_weight_gradient_is_right_in_the_first_compiled_call():
    x, grad = torch.randn(2, 4, 20, 20), torch.randn(2, 4, 20, 20)
    operator = torch.ops.lkdense.spectral_weight_gradient
    torch.compiler.reset()
    compiled = torch.compile(lambda *args: operator(*args, 13, 13), backend='aot_eager')
    torch.testing.assert_close(compiled(x, grad), operator(x, grad, 13, 13))


def test_a_kept_spectrum_follows_the_weight():
    x, weight, bias = draw_tensors((1, 3, 20, 20, 9, 9))
    with torch.no_grad():
        for change in (
            lambda: None,
            lambda: weight.mul_(2),
            lambda: weight.data.add_(1),
            lambda: weight.data.copy_(x[:1, :, :9, :9].transpose(0, 1)),
        ):
            change()
            result = depthwise_conv2d(x, weight, bias, backend='fft')
            torch.testing.assert_close(result, depthwise_conv2d(x, weight, bias, backend='eager'), rtol=1e-4, atol=1e-4)

        # Another image size needs another spectrum of the same weight.
        smaller = x[..., :11, :13].contiguous()
        torch.testing.assert_close(
            depthwise_conv2d(smaller, weight, backend='fft'),
            depthwise_conv2d(smaller, weight, backend='eager'),
            rtol=1e-4,
            atol=1e-4,
        )

    # The same goes for another dtype of it, and for the same weight as one of two strips.
    with torch.no_grad():
        weight.data = weight.data.double()
        exact = depthwise_conv2d(x.double(), weight, backend='eager')
        torch.testing.assert_close(depthwise_conv2d(x.double(), weight, backend='fft'), exact, rtol=1e-12, atol=1e-12)
        other = torch.randn(3, 1, 9, 9).double()
        both = exact + depthwise_conv2d(x.double(), other, backend='eager')
        for expected, result in (
            (both, strips_conv2d(x.double(), weight, other, backend='fft')),
            (exact, depthwise_conv2d(x.double(), weight, backend='fft')),
        ):
            torch.testing.assert_close(result, expected, rtol=1e-12, atol=1e-10)

    short_lived = weight.float()
    with torch.no_grad():
        depthwise_conv2d(x, short_lived, backend='fft')
    entries = len(_fft._cache)
    del short_lived
    assert len(_fft._cache) == entries - 1


@pytest.mark.parametrize('size', [(20, 33), (6, 5)])
def test_strips_add_up_to_one_kernel(size):
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    vertical, horizontal = torch.randn(3, 1, 21, 5).double(), torch.randn(3, 1, 5, 13).double()
    bias = torch.randn(3).double()
    expected = F.conv2d(x, F.pad(vertical, (4, 4)) + F.pad(horizontal, (0, 0, 8, 8)), bias, padding=(10, 6), groups=3)
    with torch.no_grad():
        for backend in (None, 'fft', 'eager'):
            torch.testing.assert_close(
                strips_conv2d(x, vertical, horizontal, bias, backend=backend), expected, rtol=0, atol=1e-10
            )


@pytest.mark.parametrize('backend', [None, 'cpu', 'fft'])
def test_gradcheck_of_strips(backend):
    sizes = (1, 2, 4, 3), (2, 1, 5, 3), (2, 1, 3, 7), (2,)
    leaves = [torch.randn(size, dtype=torch.float64, requires_grad=True) for size in sizes]
    assert torch.autograd.gradcheck(lambda *args: strips_conv2d(*args, backend=backend), leaves)


def test_one_large_kernel_in_place_of_two_strips_where_it_is_cheaper(monkeypatch):
    sizes_as_one_kernel = []

    def record_size(x, *_):
        sizes_as_one_kernel.append(tuple(x.shape[2:]))
        return x

    monkeypatch.setattr(depthwise, 'spectral_strips', record_size)
    vertical, horizontal = torch.randn(4, 1, 51, 5), torch.randn(4, 1, 5, 51)
    with torch.no_grad():
        for size in (16, 128):
            strips_conv2d(torch.randn(1, 4, size, size), vertical, horizontal)
    strips_conv2d(torch.randn(1, 4, 128, 128), vertical.requires_grad_(), horizontal)
    assert sizes_as_one_kernel == [(128, 128)]


@pytest.mark.parametrize('backend', [None, *BACKENDS])
def test_compiles_without_graph_breaks(backend):
    leaves = draw_tensors((1, 3, 8, 8, 5, 5))
    skip_if_refused(backend or 'eager', *leaves[:2])
    expected = output_and_grads(backend, torch.float32, *leaves)
    compiled = torch.compile(
        lambda *args: depthwise_conv2d(*args, backend=backend), fullgraph=True, backend='aot_eager'
    )

    leaves = [t.requires_grad_() for t in leaves]
    y = compiled(*leaves)
    for ours, theirs in zip((y, *torch.autograd.grad(y.square().mean(), leaves)), expected.values()):
        torch.testing.assert_close(ours, theirs)


def test_autocast_decides_the_dtype():
    x, weight, bias = draw_tensors((1, 3, 8, 8, 5, 5))
    compiled = torch.compile(depthwise_conv2d, fullgraph=True, backend='aot_eager')
    with torch.autocast('cpu', torch.bfloat16):
        assert depthwise_conv2d(x.bfloat16(), weight, bias).dtype == torch.bfloat16
        assert compiled(x, weight, bias).dtype == torch.bfloat16


def test_autocast_leaves_the_detour_through_float32():
    x, weight, bias = draw_tensors((1, 3, 20, 20, 13, 13), torch.float16)
    expected = depthwise_conv2d(x, weight, bias, backend='cpu')
    with torch.autocast('cpu', torch.float16):
        # A sum in 16 bit would differ.
        torch.testing.assert_close(depthwise_conv2d(x, weight, bias, backend='cpu'), expected, rtol=0, atol=0)


@pytest.mark.parametrize('backend', ['cpu', 'fft'])
def test_a_named_backend_does_not_run_where_its_derivative_would_be_lost(backend):
    x, weight, _ = draw_tensors((1, 3, 20, 20, 13, 13))
    with pytest.raises(ValueError, match=f'{backend}: torch.func and forward-mode'):
        torch.func.jvp(lambda image: depthwise_conv2d(image, weight, backend=backend), (x,), (x,))
    _, moved = torch.func.jvp(lambda image: depthwise_conv2d(image, weight), (x,), (x,))
    torch.testing.assert_close(moved, depthwise_conv2d(x, weight), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ('size', 'kernel', 'dtype', 'layout', 'expected'),
    [
        (128, (31, 31), torch.float32, 'contiguous', 'fft'),
        (128, (51, 5), torch.float32, 'contiguous', 'cpu'),
        (128, (5, 51), torch.float32, 'channels_last', 'cpu'),
        (16, (13, 13), torch.float32, 'contiguous', 'cpu'),
        (32, (5, 5), torch.float32, 'contiguous', 'cpu'),
        (32, (5, 5), torch.float32, 'channels_last', 'eager'),
        (32, (3, 3), torch.float32, 'contiguous', 'eager'),
        (32, (3, 3), torch.float16, 'contiguous', 'cpu'),
    ],
)
def test_the_choice_for_training_on_a_cpu(size, kernel, dtype, layout, expected):
    x = torch.randn(1, 4, size, size).to(dtype)
    if layout == 'channels_last':
        x = x.contiguous(memory_format=torch.channels_last)
    assert chosen_backend(x, torch.randn(4, 1, *kernel).to(dtype).requires_grad_()) == expected


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(x=torch.zeros(3, 8, 8)), r'x must be \[N, C, H, W\], got shape \(3, 8, 8\)'),
        (dict(weight=torch.zeros(4, 1, 5, 5)), r'weight must be \[3, 1, kh, kw\]'),
        (dict(weight=torch.zeros(3, 1, 4, 5)), r'kernel sizes must be odd, got \(4, 5\)'),
        (dict(bias=torch.zeros(4)), r'bias must be \[3\], got \(4,\)'),
        (dict(bias=torch.zeros(3).double()), 'x and bias must have one dtype, got torch.float32 and torch.float64'),
        (dict(weight=torch.zeros(3, 1, 5, 5).double()), 'one dtype, got torch.float32 and torch.float64'),
        (dict(x=torch.zeros(1, 3, 8, 8).long()), 'floating-point'),
        (dict(backend='cudnn'), "backend must be one of .*eager.*, got 'cudnn'"),
    ],
)
def test_bad_input_is_refused(change, message):
    arguments = dict(zip(('x', 'weight', 'bias'), draw_tensors((1, 3, 8, 8, 5, 5)))) | change
    with pytest.raises(ValueError, match=message):
        depthwise_conv2d(**arguments)


def test_a_backend_that_refuses_says_why(monkeypatch):
    monkeypatch.setattr(BACKENDS['eager'], 'refusal', lambda x, weight: 'it is Sunday')
    with pytest.raises(ValueError, match='eager: it is Sunday'):
        depthwise_conv2d(*draw_tensors((1, 3, 8, 8, 5, 5)), backend='eager')


def test_the_reasons_can_be_asked_for(monkeypatch):
    monkeypatch.setattr(BACKENDS['cpu'], 'refusal', lambda x, weight: 'it is Sunday')
    x, weight, _ = draw_tensors((1, 3, 8, 8, 5, 5), torch.float64)
    reasons = refusals(x, weight)
    assert reasons['cpu'] == 'it is Sunday'
    assert 'triton' in reasons
    assert not {'fft', 'eager'} & reasons.keys()


def test_the_environment_sets_the_default(monkeypatch):
    monkeypatch.setattr(depthwise, 'FORCED', 'no such backend')
    with pytest.raises(ValueError, match='no such backend'):
        depthwise_conv2d(*draw_tensors((1, 3, 8, 8, 5, 5)))


@pytest.mark.filterwarnings('ignore:.*found in sys.modules')
def test_an_empty_variable_of_the_environment_counts_as_unset(monkeypatch):
    monkeypatch.setenv('LKDENSE_BACKEND', '')
    assert read_forced_backend() is None
    monkeypatch.setenv('LKDENSE_BACKEND', 'fft')
    assert read_forced_backend() == 'fft'


def read_forced_backend():
    """Run the module anew, as its import in another process does."""
    return runpy.run_module('lkdense.ops.depthwise')['FORCED']


def test_ops_and_layers_need_torch_alone():
    hidden = ('mmengine', 'mmcv', 'mmdet', 'mmseg', 'numpy', 'triton')
    code = f"""
import importlib.util, sys
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in {hidden} else find_spec(name, *rest)
import torch
sys.modules.update(dict.fromkeys({hidden}))
import lkdense, lkdense.layers, lkdense.ops
print(lkdense.layers.StripLargeKernel(4, 21, 5)(torch.randn(2, 4, 8, 8)).shape)
try:
    lkdense.SLaK
except ImportError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False
    )
    assert done.returncode == 0, done.stderr
    assert 'torch.Size([2, 4, 8, 8])' in done.stdout
    assert 'lkdense.SLaK needs mmengine' in done.stdout
