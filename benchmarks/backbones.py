"""Time whole backbones on a CPU against themselves with PyTorch's own convolution in its default memory format.

Example: python benchmarks/backbones.py --out benchmarks/results
It times the evaluation of one image of 512x512, the same after `switch_to_deploy()`, and a training step (forward and
backward) of two images of 256x256. Both sides have the same weights, and outputs and gradients are compared first.
Seconds are medians in one process. The peak of memory is that of a process of its own, with the weights.
"""

import argparse
import json
import multiprocessing
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from depthwise import describe
from mmengine.model import revert_sync_batchnorm
from torch import Tensor, nn

from lkdense import ConvNeXt, RepLKNet, SLaK
from lkdense.analysis.machine import machine
from lkdense.layers import DepthwiseConv2d, LayerNorm2d, PointwiseLinear

BACKBONES = {
    'RepLKNet-31B': lambda: RepLKNet('31b'),
    'SLaK-T': lambda: SLaK('tiny'),
    'ConvNeXt-T': lambda: ConvNeXt('tiny'),
}
SIZES = {'eval': (1, 3, 512, 512), 'train': (2, 3, 256, 256), 'deployed': (1, 3, 512, 512)}
VARIANTS = ('eager', 'ours')
REPEATS = 3
# Our results may be so many times as far from those in float64 as eager's. In training, batch norms over few pixels
# magnify every rounding by thousands, eager's too. The backends themselves are held to twice eager's error.
TOLERANCE = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=Path, default=Path('benchmarks/results'), help='folder of the JSON')
    parser.add_argument('--only', help='only backbones whose name contains this')
    args = parser.parse_args()

    print(machine('cpu'), end='\n\n')
    print(f'{"":14}{"pass":9}{"eager s":>9}{"ours s":>9}{"ratio":>7}{"eager MiB":>11}{"ours MiB":>10}{"ratio":>7}')
    rows = []
    for name in BACKBONES:
        if not args.only or args.only in name:
            rows += measure(name)

    args.out.mkdir(parents=True, exist_ok=True)
    report = dict(describe(torch.device('cpu')), rows=rows)
    (args.out / 'backbones_cpu.json').write_text(json.dumps(report, indent=1) + '\n')


def measure(name: str) -> list[dict]:
    models = {variant: build(name, variant) for variant in VARIANTS}
    rows = []
    for which, size in SIZES.items():
        image = torch.randn(size, generator=torch.Generator().manual_seed(0))
        if which == 'deployed':
            models['ours'].switch_to_deploy()

        eager, ours = (compute(model, image, which) for model in models.values())
        compare(eager, ours, compute_exactly(name, image, which))

        seconds = {variant: median_seconds(compute, model, image, which) for variant, model in models.items()}
        peak = {variant: peak_mib(name, variant, which) for variant in VARIANTS}
        rows.append(dict(backbone=name, which=which, size=size, seconds=seconds, peak_mib=peak))
        print(
            f'{name:14}{which:9}{seconds["eager"]:9.2f}{seconds["ours"]:9.2f}'
            f'{seconds["eager"] / seconds["ours"]:6.1f}x{peak["eager"]:11.0f}{peak["ours"]:10.0f}'
            f'{peak["ours"] / peak["eager"]:6.2f}x',
            flush=True,
        )
    return rows


def build(name: str, variant: str) -> nn.Module:
    torch.manual_seed(0)
    model = revert_sync_batchnorm(BACKBONES[name]())
    return use_pytorchs_own(model) if variant == 'eager' else model


def use_pytorchs_own(backbone: nn.Module) -> nn.Module:
    """Make every map a contiguous one, as in the authors' code, and every depthwise convolution PyTorch's."""
    backbone.CHANNELS_LAST_ON_CPU = False
    for module in backbone.modules():
        if isinstance(module, DepthwiseConv2d):
            module.backend = 'eager'
        if isinstance(module, PointwiseLinear):
            module.forward = partial(nn.Linear.forward, module)
        if isinstance(module, LayerNorm2d):
            module.register_forward_hook(lambda module, inputs, output: output.contiguous())
    return backbone


def compute(model: nn.Module, image: Tensor, which: str) -> list[Tensor]:
    """Return the maps, or in training the gradients of all parameters."""
    if which != 'train':
        with torch.no_grad():
            return list(model.eval()(image))

    outputs = model.train()(image)
    loss = sum((y * y.detach().cos()).mean() for y in outputs)
    return list(torch.autograd.grad(loss, list(model.parameters())))


def compute_exactly(name: str, image: Tensor, which: str) -> list[Tensor]:
    """Return the results in float64."""
    model = build(name, 'ours').double()
    for module in model.modules():
        if isinstance(module, DepthwiseConv2d):
            # PyTorch's own convolution takes minutes.
            module.backend = 'fft'
    return compute(model, image.double(), which)


def compare(eager: list[Tensor], ours: list[Tensor], exact: list[Tensor]) -> None:
    """Refuse to time a model that does not give the same numbers.

    Raises:
        SystemExit: it does not.
    """
    error, error_of_eager = relative_error(ours, exact), relative_error(eager, exact)
    if error > TOLERANCE * error_of_eager:
        raise SystemExit(f'off by {error:.1e} of the exact result, eager by {error_of_eager:.1e}; no times for that')


def relative_error(tensors: list[Tensor], exact: list[Tensor]) -> float:
    """Return the norm of all differences over the norm of the exact values."""
    difference = sum((tensor - truth).square().sum() for tensor, truth in zip(tensors, exact, strict=True))
    norm = sum(truth.square().sum() for truth in exact)
    return (difference / norm).sqrt().item()


def median_seconds(run: Callable, *arguments) -> float:
    # The first run warms up.
    run(*arguments)

    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        run(*arguments)
        times.append(time.perf_counter() - start)

    return sorted(times)[REPEATS // 2]


def peak_mib(name: str, variant: str, which: str) -> float:
    with multiprocessing.get_context('spawn').Pool(1) as pool:
        return pool.apply(measure_peak_mib, (name, variant, which, torch.get_num_threads()))


def measure_peak_mib(name: str, variant: str, which: str, threads: int) -> float:
    """Return by how many MiB the weights and two passes raise the peak of this process, which Linux counts."""
    torch.set_num_threads(threads)
    before = status_mib('VmRSS')
    model = build(name, variant)
    if which == 'deployed' and variant == 'ours':
        model.switch_to_deploy()
    image = torch.randn(SIZES[which])

    # The peak starts again from here.
    Path('/proc/self/clear_refs').write_text('5')
    for _ in range(2):
        compute(model, image, which)
    return status_mib('VmHWM') - before


def status_mib(entry: str) -> float:
    lines = Path('/proc/self/status').read_text().splitlines()
    return int(next(line for line in lines if line.startswith(entry)).split()[1]) / 1024


if __name__ == '__main__':
    main()
