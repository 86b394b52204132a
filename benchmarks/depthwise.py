"""Time every backend of the depthwise convolution on a grid of shapes, after checking that its numbers are right.

Example: python benchmarks/depthwise.py --out benchmarks/results
On a CPU: float32, one image forward, two images for the gradients. On a GPU: the batches below, three dtypes, with two
more to compare with: cuFFT, which is what `fft` runs there, and a plain kernel without tensor cores, `fma`.
`TRITON_INTERPRET=1 python benchmarks/depthwise.py --dry-run` takes the GPU's way through tiny shapes on a CPU.
The backends of one shape take turns, so that all of them meet the same state of the machine, and none finds its maps in
the cache. Writes a table in JSON and a plot, and prints milliseconds, medians.
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
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib.ticker import LogLocator
from torch import Tensor

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
# what is compared as one: a backend is chosen for both gradients
CHOICES = {'forward': ('forward',), 'both gradients': ('input gradient', 'weight gradient')}
CHECKED_CHANNELS = 4  # compared with float64; all of them would take minutes
SECONDS = 1.0  # of repetitions for one figure
TURNS = 3, 30  # at least and at most
# of the matrix product whose speed stands for what the machine can do
MATRIX = {'cpu': 1024, 'cuda': 8192}


@dataclass
class Row:
    """One backend on one shape; of each pass the median milliseconds and the share of the limit."""

    shape: tuple[int, ...]
    dtype: str
    layout: str
    backend: str
    ms: dict[str, float]
    share: dict[str, float]  # of the operations a second of a large matrix product, counting useful ones only
    chosen: dict[str, bool]  # of each pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--out', type=Path, default=Path('benchmarks/results'), help='folder of the JSON and the plot')
    parser.add_argument('--dry-run', action='store_true', help='tiny shapes, to try the code; its times mean nothing')
    parser.add_argument('--shapes', help='only shapes whose text contains this, such as 31x31')
    args = parser.parse_args()
    device = torch.device('cpu' if args.dry_run else args.device)
    # float32 shall mean float32 for PyTorch as well
    torch.backends.cudnn.allow_tf32 = False
    keep_memory()
    rows = []
    print(f'{machine(device)}\nmilliseconds: {", ".join(PASSES)}; * is the one that is chosen\n')
    for case in dry_cases() if args.dry_run else cases(device):
        if args.shapes and args.shapes not in name(case):
            continue
        measured = measure(*case, device)
        rows += measured
        show(measured)
    conclude(rows)
    name_of_files = f'depthwise_{"dry_run" if args.dry_run else device.type}'
    save(rows, device, args.out / f'{name_of_files}.json')
    plot(rows, machine(device), args.out / f'{name_of_files}.png')


def cases(device: torch.device) -> list[tuple]:
    """Return N forward, N for the gradients, C, H, W, kh, kw and dtype of each case."""
    if device.type == 'cpu':
        return [(1, 2, *shape, torch.float32) for shape in CPU_SHAPES]
    return in_every_dtype(GPU_SIZES, GPU_KERNELS)


def dry_cases() -> list[tuple]:
    return in_every_dtype(DRY_SIZES, DRY_KERNELS)


def in_every_dtype(sizes: list[tuple], kernels: list[tuple]) -> list[tuple]:
    return [
        (n, n, c, h, w, *kernel, dtype)
        for dtype in (torch.float32, torch.float16, torch.bfloat16)
        for n, c, h, w in sizes
        for kernel in kernels
    ]


def compared(x: Tensor, weight: Tensor) -> list[str]:
    """Return what can run these tensors: backends, and where Triton runs the plain kernel as well."""
    refused = refusals(x, weight)
    names = [name for name in BACKENDS if name not in refused]
    if 'triton' in names:
        import fma

        names += [] if fma.refusal(x, weight) else ['fma']
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
    runs, picked = {}, {}
    exact = results('eager', *(t[:, :CHECKED_CHANNELS].double() for t in (x, grad)), weight[:CHECKED_CHANNELS].double())
    for layout, memory_format in LAYOUTS.items():
        image, error = (t.contiguous(memory_format=memory_format) for t in (x, grad))
        picked[layout] = choice(image, weight)
        for backend in compared(image, weight):
            check(backend, exact, image, error, weight)
            for which, run in zip(PASSES, passes(backend, image, error, weight, n)):
                runs[layout, backend, which] = run
    times = dict(zip(runs, medians_ms(list(runs.values()), device)))
    rows = []
    useful = {which: 2 * images * c * h * w * kh * kw for which, images in zip(PASSES, (n, n_grad, n_grad))}
    for layout, backend in dict.fromkeys((layout, backend) for layout, backend, _ in runs):
        ms = {which: times[layout, backend, which] for which in PASSES}
        share = {which: useful[which] / (1e-3 * ms[which] * limit(str(dtype), device)) for which in PASSES}
        chosen = {which: name == backend for which, name in picked[layout].items()}
        rows.append(Row((n, n_grad, c, h, w, kh, kw), str(dtype), layout, backend, ms, share, chosen))
    return rows


@cache
def limit(dtype: str, device: torch.device) -> float:
    """Return the operations a second of a large product of square matrices."""
    size = MATRIX[device.type]
    matrix = torch.randn(size, size, device=device).to(getattr(torch, dtype.removeprefix('torch.')))
    (ms,) = medians_ms([lambda: matrix @ matrix], device)
    return 2 * size**3 / (1e-3 * ms)


def choice(x: Tensor, weight: Tensor) -> dict[str, str]:
    """Return the backend that is chosen for each pass."""
    training = chosen_backend(x, weight.detach().requires_grad_())
    with torch.no_grad():
        return {which: chosen_backend(x, weight) if which == 'forward' else training for which in PASSES}


def results(backend: str, x: Tensor, grad: Tensor, weight: Tensor) -> list[Tensor]:
    x, weight = x.detach().requires_grad_(), weight.detach().requires_grad_()
    y = convolve(backend, x, weight)
    return [y.detach(), *torch.autograd.grad(y, (x, weight), grad)]


def check(backend: str, exact: list[Tensor], x: Tensor, grad: Tensor, weight: Tensor) -> None:
    """Refuse to time what errs more than twice as much as eager in the same dtype.

    Raises:
        SystemExit: it does.
    """
    # in their layout, which a part of the channels has not: another one may be computed another way
    layout = torch.contiguous_format if x.is_contiguous() else torch.channels_last
    few = [t[:, :CHECKED_CHANNELS].contiguous(memory_format=layout) for t in (x, grad)]
    eager = results('eager', *few, weight[:CHECKED_CHANNELS])
    ours = results(backend, *few, weight[:CHECKED_CHANNELS])
    for which, truth, theirs, mine in zip(PASSES, exact, eager, ours):
        allowed = 2 * (theirs - truth).abs().max() + 1e-6 * truth.abs().max()
        if (off := (mine - truth).abs().max()) > allowed:
            raise SystemExit(f'{backend}: {which} is off by {off:.2e}, {allowed:.2e} is allowed; no times for it')


def passes(backend: str, x: Tensor, grad: Tensor, weight: Tensor, n: int) -> list[Callable]:
    one = x[:n].clone(memory_format=torch.preserve_format)
    x, leaf = x.detach().requires_grad_(), weight.detach().requires_grad_()
    # the graphs of the two gradients are apart, for a backward pass to compute one only
    to_x = convolve(backend, x, weight)
    to_weight = convolve(backend, x.detach(), leaf)

    @torch.no_grad()
    def forward() -> None:
        convolve(backend, one, weight)

    return [
        forward,
        lambda: torch.autograd.grad(to_x, x, grad, retain_graph=True),
        lambda: torch.autograd.grad(to_weight, leaf, grad, retain_graph=True),
    ]


def medians_ms(runs: list[Callable], device: torch.device) -> list[float]:
    """Return the median milliseconds of each, timed in turns."""

    def timed(run: Callable) -> float:
        synchronize(device)
        started = time.perf_counter()
        run()
        synchronize(device)
        return 1e3 * (time.perf_counter() - started)

    for run in runs:  # warm-up
        run()
    times = [[] for _ in runs]
    for turn in range(TURNS[1]):
        for run, taken in zip(runs, times):
            if turn < TURNS[0] or sum(taken) < 1e3 * SECONDS:
                taken.append(timed(run))
    return [sorted(taken)[len(taken) // 2] for taken in times]


def keep_memory() -> None:
    """Make the C library keep what is freed: pages fresh from the system cost more than many a convolution."""
    if platform.libc_ver()[0] == 'glibc':
        for option in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
            ctypes.CDLL(None).mallopt(option, 2**30)


def synchronize(device: torch.device) -> None:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


def name(case: tuple) -> str:
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
        for what, parts in CHOICES.items():
            times = {row.backend: sum(row.ms[which] for which in parts) for row in group}
            chosen = next(times[row.backend] for row in group if row.chosen[parts[0]])
            where = f'{what} {shape[2:]} {dtype} {layout}'
            against_best.append((chosen / min(times.values()), where))
            against_eager.append((chosen / times['eager'], where))
    print()
    for what, ratios in (('the best backend', against_best), ('eager', against_eager)):
        worst = ', '.join(f'{ratio:.2f} ({where})' for ratio, where in sorted(ratios, reverse=True)[:3])
        print(f'time of the choice over {what}, worst: {worst}')


def machine(device: torch.device) -> str:
    if device.type == 'cuda':
        import triton

        return f'{torch.cuda.get_device_name(device)}, torch {torch.__version__}, triton {triton.__version__}'
    return f'{cpu_name()}, {torch.get_num_threads()} threads, torch {torch.__version__}'


def cpu_name() -> str:
    listed = Path('/proc/cpuinfo')
    lines = listed.read_text().splitlines() if listed.exists() else []
    return next((line.split(':')[1].strip() for line in lines if line.startswith('model name')), platform.processor())


def about(device: torch.device) -> dict[str, str]:
    """Return where and when figures were measured."""
    return dict(machine=machine(device), date=datetime.date.today().isoformat())


def save(rows: list[Row], device: torch.device, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    limits = {row.dtype: limit(row.dtype, device) for row in rows}
    content = dict(about(device), limits=limits, rows=[asdict(row) for row in rows])
    path.write_text(json.dumps(content, indent=1) + '\n')


def plot(rows: list[Row], where: str, path: Path) -> None:
    """Draw how many times faster the choice is than eager on contiguous tensors, shape by shape."""
    figure, axes = plt.subplots(len(PASSES), 1, figsize=(11, 9), layout='constrained', sharex=True)
    shapes = list(dict.fromkeys((row.shape, row.dtype) for row in rows))
    for axis, which in zip(axes, PASSES):
        for offset, layout in zip((-0.2, 0.2), LAYOUTS):
            groups = [[row for row in rows if (row.shape, row.dtype) == shape] for shape in shapes]
            times = [next(r.ms[which] for r in g if r.layout == layout and r.chosen[which]) for g in groups]
            ratios = [reference(group, which) / ms for group, ms in zip(groups, times)]
            axis.bar([i + offset for i in range(len(shapes))], ratios, 0.4, label=layout)
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
    axes[0].set_title(f'the chosen backend against F.conv2d on contiguous tensors\n{where}')
    axes[0].legend(title='layout of the input, both\nagainst contiguous tensors')
    texts = [
        f'{c}x{h}x{w}\n{kh}x{kw}{"" if "32" in dtype else " " + dtype[6:]}' for (_, _, c, h, w, kh, kw), dtype in shapes
    ]
    axes[-1].set_xticks(range(len(shapes)), texts, rotation=90, fontsize=9)
    axes[-1].set_xlabel('channels x height x width, kernel')
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == '__main__':
    main()
