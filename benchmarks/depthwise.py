"""Time every backend of the depthwise convolution on a grid of shapes, after checking that its numbers are right.

Example: python benchmarks/depthwise.py --out benchmarks/results
On a CPU it runs float32, one image forward and two images for the gradients. On a GPU it runs the batches below in
three dtypes and compares with two more: cuFFT, which `fft` runs there, and `fma`, a plain kernel without tensor cores.
`TRITON_INTERPRET=1 python benchmarks/depthwise.py --dry-run` runs the GPU's code on a CPU, with tiny shapes.
The backends of one shape take turns, so that all of them meet the same state of the machine, and none finds its maps in
the cache. The benchmark writes a table in JSON and a plot, and prints median milliseconds.
"""

import argparse
import ctypes
import datetime
import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from itertools import product
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib.ticker import LogLocator
from torch import Tensor

from lkdense.analysis.machine import machine
from lkdense.ops import BACKENDS, chosen_backend, depthwise_conv2d, refusals

CPU_SHAPES = [  # C, H, W, kernel height, kernel width
    (128, 128, 128, 51, 51),
    (128, 128, 128, 31, 31),
    (128, 128, 128, 13, 13),
    (128, 128, 128, 7, 7),
    (128, 128, 128, 5, 5),
    (128, 128, 128, 3, 3),
    (166, 128, 128, 51, 5),
    (166, 128, 128, 5, 51),
    (256, 64, 64, 29, 29),
    (332, 64, 64, 49, 5),
    (332, 64, 64, 5, 49),
    (256, 64, 64, 7, 7),
    (512, 32, 32, 27, 27),
    (665, 32, 32, 47, 5),
    (665, 32, 32, 5, 47),
    (512, 32, 32, 7, 7),
    (1024, 16, 16, 13, 13),
    (1331, 16, 16, 13, 5),
    (1331, 16, 16, 5, 13),
]
GPU_SIZES = [(64, 384, 32, 32), (2, 128, 128, 128), (8, 166, 128, 128)]  # N, C, H, W
GPU_KERNELS = [(31, 31), (51, 5), (5, 51), (13, 13), (7, 7), (51, 51)]
DRY_SIZES, DRY_KERNELS = [(1, 2, 6, 10)], [(5, 3)]
LAYOUTS = {'contiguous': torch.contiguous_format, 'channels_last': torch.channels_last}
PASSES = ('forward', 'input gradient', 'weight gradient')
# A backend is chosen for both gradients at once, so they are compared as one.
CHOICES = {'forward': ('forward',), 'both gradients': ('input gradient', 'weight gradient')}
# So many channels are compared with float64; all of them would take minutes.
CHECKED_CHANNELS = 4
# A figure takes repetitions until so much time has passed, but at least and at most so many.
SECONDS = 1.0
TURNS = 3, 30
# The speed of a product of square matrices of this size stands for what the machine can do.
MATRIX = {'cpu': 1024, 'cuda': 8192}


@dataclass
class Row:
    """One backend on one shape.

    The dictionaries have an entry for each pass: the median milliseconds; the useful operations a second as a share of
    those of a large matrix product; whether the backend is the one that is chosen.
    """

    shape: tuple[int, ...]
    dtype: str
    layout: str
    backend: str
    ms: dict[str, float]
    share: dict[str, float]
    chosen: dict[str, bool]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--out', type=Path, default=Path('benchmarks/results'), help='folder of the JSON and the plot')
    parser.add_argument(
        '--dry-run', action='store_true', help='run tiny shapes to try the code; the times mean nothing'
    )
    parser.add_argument('--shapes', help='run only shapes whose text contains this, such as 31x31')
    args = parser.parse_args()
    device = torch.device('cpu' if args.dry_run else args.device)

    # PyTorch too shall compute float32 in float32.
    torch.backends.cudnn.allow_tf32 = False
    keep_memory()

    print(f'{describe_machine(device)}\nmilliseconds: {", ".join(PASSES)}; * is the one that is chosen\n')
    rows = []
    for case in list_dry_cases() if args.dry_run else list_cases(device):
        if args.shapes and args.shapes not in case_name(case):
            continue
        rows_of_case = measure(*case, device)
        show(rows_of_case)
        rows += rows_of_case

    conclude(rows)
    stem = f'depthwise_{"dry_run" if args.dry_run else device.type}'
    save(rows, device, args.out / f'{stem}.json')
    plot(rows, describe_machine(device), args.out / f'{stem}.png')


def list_cases(device: torch.device) -> list[tuple]:
    """Return N forward, N for the gradients, C, H, W, kh, kw and dtype of each case."""
    if device.type == 'cpu':
        return [(1, 2, *shape, torch.float32) for shape in CPU_SHAPES]
    return combine(GPU_SIZES, GPU_KERNELS)


def list_dry_cases() -> list[tuple]:
    return combine(DRY_SIZES, DRY_KERNELS)


def combine(sizes: list[tuple], kernels: list[tuple]) -> list[tuple]:
    """Return the cases of all sizes and kernels in each dtype."""
    dtypes = (torch.float32, torch.float16, torch.bfloat16)
    return [(size[0], *size, *kernel, dtype) for dtype, size, kernel in product(dtypes, sizes, kernels)]


def list_backends(x: Tensor, weight: Tensor) -> list[str]:
    """Return the backends that run these tensors and, where Triton does, the plain kernel."""
    refused = refusals(x, weight)
    names = [name for name in BACKENDS if name not in refused]
    if 'triton' in names:
        import fma

        if fma.refusal(x, weight) is None:
            names.append('fma')

    return names


def convolve(backend: str, x: Tensor, weight: Tensor) -> Tensor:
    if backend != 'fma':
        return depthwise_conv2d(x, weight, backend=backend)
    import fma

    return fma.Conv.apply(x, weight)


def measure(
    n: int, n_grad: int, c: int, h: int, w: int, kh: int, kw: int, dtype: torch.dtype, device: torch.device
) -> list[Row]:
    weight = (torch.randn(c, 1, kh, kw, device=device) / (kh * kw)).to(dtype)
    x = torch.randn(n_grad, c, h, w, device=device).to(dtype)
    grad = torch.randn(n_grad, c, h, w, device=device).to(dtype)
    few = (x[:, :CHECKED_CHANNELS].double(), grad[:, :CHECKED_CHANNELS].double(), weight[:CHECKED_CHANNELS].double())
    exact = compute('eager', *few)

    runs, choices = {}, {}
    for layout, memory_format in LAYOUTS.items():
        image, error = (tensor.contiguous(memory_format=memory_format) for tensor in (x, grad))
        choices[layout] = choose(image, weight)
        for backend in list_backends(image, weight):
            check(backend, exact, image, error, weight)
            for which, run in zip(PASSES, build_passes(backend, image, error, weight, n)):
                runs[layout, backend, which] = run

    times = dict(zip(runs, medians_ms(list(runs.values()), device)))
    operations = {which: 2 * images * c * h * w * kh * kw for which, images in zip(PASSES, (n, n_grad, n_grad))}
    rows = []
    for layout, backend in dict.fromkeys((layout, backend) for layout, backend, _ in runs):
        ms = {which: times[layout, backend, which] for which in PASSES}
        share = {which: operations[which] / (1e-3 * ms[which] * limit(str(dtype), device)) for which in PASSES}
        chosen = {which: name == backend for which, name in choices[layout].items()}
        rows.append(Row((n, n_grad, c, h, w, kh, kw), str(dtype), layout, backend, ms, share, chosen))

    return rows


@cache
def limit(dtype: str, device: torch.device) -> float:
    """Return the operations a second of a large product of square matrices."""
    size = MATRIX[device.type]
    matrix = torch.randn(size, size, device=device).to(getattr(torch, dtype.removeprefix('torch.')))
    (ms,) = medians_ms([lambda: matrix @ matrix], device)
    return 2 * size**3 / (1e-3 * ms)


def choose(x: Tensor, weight: Tensor) -> dict[str, str]:
    """Return the backend that is chosen for each pass."""
    training = chosen_backend(x, weight.detach().requires_grad_())
    with torch.no_grad():
        return {which: chosen_backend(x, weight) if which == 'forward' else training for which in PASSES}


def compute(backend: str, x: Tensor, grad: Tensor, weight: Tensor) -> list[Tensor]:
    x, weight = x.detach().requires_grad_(), weight.detach().requires_grad_()
    y = convolve(backend, x, weight)
    return [y.detach(), *torch.autograd.grad(y, (x, weight), grad)]


def check(backend: str, exact: list[Tensor], x: Tensor, grad: Tensor, weight: Tensor) -> None:
    """Refuse to time a backend that errs more than twice as much as eager in the same dtype.

    Raises:
        SystemExit: it does.
    """
    # A slice of the channels has lost the layout of the whole, and another layout may be computed in another way.
    layout = torch.contiguous_format if x.is_contiguous() else torch.channels_last
    few = [tensor[:, :CHECKED_CHANNELS].contiguous(memory_format=layout) for tensor in (x, grad)]
    few.append(weight[:CHECKED_CHANNELS])

    for which, truth, eager, result in zip(PASSES, exact, compute('eager', *few), compute(backend, *few)):
        allowed = 2 * (eager - truth).abs().max() + 1e-6 * truth.abs().max()
        error = (result - truth).abs().max()
        if error > allowed:
            raise SystemExit(f'{backend}: {which} is off by {error:.2e}, {allowed:.2e} is allowed; no times for it')


def build_passes(backend: str, x: Tensor, grad: Tensor, weight: Tensor, n: int) -> list[Callable]:
    """Return a function for each of ``PASSES``."""
    images = x[:n].clone(memory_format=torch.preserve_format)
    x, leaf = x.detach().requires_grad_(), weight.detach().requires_grad_()
    # Each gradient has a graph of its own, so that a backward pass computes that one only.
    to_x = convolve(backend, x, weight)
    to_weight = convolve(backend, x.detach(), leaf)

    @torch.no_grad()
    def forward() -> None:
        convolve(backend, images, weight)

    return [
        forward,
        lambda: torch.autograd.grad(to_x, x, grad, retain_graph=True),
        lambda: torch.autograd.grad(to_weight, leaf, grad, retain_graph=True),
    ]


def medians_ms(runs: list[Callable], device: torch.device) -> list[float]:
    """Return the median milliseconds of each, timed in turns."""

    def measure_ms(run: Callable) -> float:
        synchronize(device)
        start = time.perf_counter()
        run()
        synchronize(device)
        return 1e3 * (time.perf_counter() - start)

    # The first run of each warms up.
    for run in runs:
        run()

    times_of_runs = [[] for _ in runs]
    for turn in range(TURNS[1]):
        for run, times in zip(runs, times_of_runs):
            if turn < TURNS[0] or sum(times) < 1e3 * SECONDS:
                times.append(measure_ms(run))

    return [sorted(times)[len(times) // 2] for times in times_of_runs]


def keep_memory() -> None:
    """Make the C library keep freed memory: fresh pages from the system cost more than many a convolution."""
    if platform.libc_ver()[0] == 'glibc':
        for option in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
            ctypes.CDLL(None).mallopt(option, 2**30)


def synchronize(device: torch.device) -> None:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


def case_name(case: tuple) -> str:
    *sizes, kh, kw, dtype = case
    return f'{"x".join(map(str, sizes[2:]))} kernel {kh}x{kw} {str(dtype).removeprefix("torch.")}'


def show(rows: list[Row]) -> None:
    n, n_grad, *shape = rows[0].shape
    print(f'{"x".join(map(str, shape[:3]))}, kernel {shape[3]}x{shape[4]}, {rows[0].dtype}, N {n} and {n_grad}')
    for row in rows:
        ms = '  '.join(f'{row.ms[which]:9.2f}{"*" if row.chosen[which] else " "}' for which in PASSES)
        over = '  '.join(f'{reference(rows, which) / row.ms[which]:6.1f}x' for which in PASSES)
        best = '  '.join(f'{reference(rows, which, best=True) / row.ms[which]:6.1f}x' for which in PASSES)
        share = '  '.join(f'{row.share[which]:6.1%}' for which in PASSES)
        print(f'  {row.layout:13} {row.backend:6} {ms}  contiguous {over}  best layout {best}  of the limit {share}')


def reference(rows: list[Row], which: str, best: bool = False) -> float:
    """Return the time of PyTorch's own convolution on contiguous tensors, or in the better of both layouts."""
    eager = {row.layout: row.ms[which] for row in rows if row.backend == 'eager'}
    return min(eager.values()) if best else eager['contiguous']


def conclude(rows: list[Row]) -> None:
    """Print where the choice was worst, against the best backend and eager for maps of the same layout."""
    groups: dict[tuple, list[Row]] = {}
    for row in rows:
        groups.setdefault((row.shape, row.dtype, row.layout), []).append(row)

    against_best, against_eager = [], []
    for (shape, dtype, layout), group in groups.items():
        for choice, parts in CHOICES.items():
            times = {row.backend: sum(row.ms[which] for which in parts) for row in group}
            chosen = next(times[row.backend] for row in group if row.chosen[parts[0]])
            label = f'{choice} {shape[2:]} {dtype} {layout}'
            against_best.append((chosen / min(times.values()), label))
            against_eager.append((chosen / times['eager'], label))

    print()
    for rival, ratios in (('the best backend', against_best), ('eager', against_eager)):
        worst = ', '.join(f'{ratio:.2f} ({label})' for ratio, label in sorted(ratios, reverse=True)[:3])
        print(f'time of the choice over {rival}, worst: {worst}')


def describe_machine(device: torch.device) -> str:
    if device.type == 'cuda':
        import triton

        return f'{machine(device)}, triton {triton.__version__}'
    return machine(device)


def describe(device: torch.device) -> dict[str, str]:
    """Return where and when figures were measured."""
    return dict(machine=describe_machine(device), date=datetime.date.today().isoformat())


def save(rows: list[Row], device: torch.device, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    limits = {row.dtype: limit(row.dtype, device) for row in rows}
    content = dict(describe(device), limits=limits, rows=[asdict(row) for row in rows])
    path.write_text(json.dumps(content, indent=1) + '\n')


def plot(rows: list[Row], machine: str, path: Path) -> None:
    """Draw how many times faster the choice is than eager on contiguous tensors, shape by shape."""
    figure, axes = plt.subplots(len(PASSES), 1, figsize=(11, 9), layout='constrained', sharex=True)
    groups: dict[tuple, list[Row]] = {}
    for row in rows:
        groups.setdefault((row.shape, row.dtype), []).append(row)

    for axis, which in zip(axes, PASSES):
        for offset, layout in zip((-0.2, 0.2), LAYOUTS):
            positions = [position + offset for position in range(len(groups))]
            ratios = [speedup(group, layout, which) for group in groups.values()]
            axis.bar(positions, ratios, 0.4, label=layout)

        axis.axhline(1, color='black', linewidth=0.8)
        axis.set_yscale('log')
        bottom, top = axis.get_ylim()
        axis.set_ylim(min(bottom, 0.45), max(top, 11))
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter('{x:g}')
        axis.yaxis.set_minor_formatter('')
        axis.grid(axis='y', color='lightgrey', linewidth=0.6)
        axis.set_axisbelow(True)
        axis.set(ylabel=f'{which},\ntimes faster')

    axes[0].set_title(f'the chosen backend against F.conv2d on contiguous tensors\n{machine}')
    axes[0].legend(title='layout of the input, both\nagainst contiguous tensors')
    axes[-1].set_xticks(range(len(groups)), [tick_label(*group) for group in groups], rotation=90, fontsize=9)
    axes[-1].set_xlabel('channels x height x width, kernel')
    figure.savefig(path, dpi=110)
    plt.close(figure)


def speedup(rows: list[Row], layout: str, which: str) -> float:
    """Return how many times faster the choice for a layout is than eager on contiguous tensors."""
    ms = next(row.ms[which] for row in rows if row.layout == layout and row.chosen[which])
    return reference(rows, which) / ms


def tick_label(shape: tuple[int, ...], dtype: str) -> str:
    _, _, c, h, w, kh, kw = shape
    suffix = '' if dtype == 'torch.float32' else ' ' + dtype.removeprefix('torch.')
    return f'{c}x{h}x{w}\n{kh}x{kw}{suffix}'


if __name__ == '__main__':
    main()
