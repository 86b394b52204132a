"""Time the masks of sparse training against a training step, and print the ratio.

Example: python benchmarks/sparse_masks.py --arch tiny --size 224
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from lkdense import SLaK
from lkdense.analysis.machine import machine
from lkdense.training.sparse_masks import SparseMasks, sparse_parameters, uniform

DENSITY = 0.6
REPETITIONS = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--arch', default='pico', help='size of the SLaK (default: pico)')
    parser.add_argument('--size', type=int, default=128, help='side of the two images in pixels (default: 128)')
    args = parser.parse_args()

    torch.manual_seed(0)
    model = SLaK(args.arch)
    layers = sparse_parameters(model)
    masks = SparseMasks(layers, uniform(layers, DENSITY))
    check_masks(masks)

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    images = torch.randn(2, 3, args.size, args.size)

    def step() -> None:
        optimizer.zero_grad()
        sum(map(torch.mean, model(images))).backward()
        optimizer.step()

    applying, training = median_seconds(masks.apply), median_seconds(step)
    print(f'{machine()}: SLaK-{args.arch}, 2 images of {args.size} x {args.size}')
    print(f'masks {applying:.4f} s, training step {training:.4f} s, ratio {applying / training:.2%}')


def check_masks(masks: SparseMasks) -> None:
    """End the program unless the masks set the inactive weights to zero and leave the others as they are."""
    before = {name: weight.detach().clone() for name, weight in masks.parameters.items()}
    masks.apply()

    for name, weight in masks.parameters.items():
        if not torch.equal(weight, before[name] * masks.masks[name]):
            raise SystemExit(f'the masks are wrong in {name}: no times are printed')


def median_seconds(call: Callable[[], None]) -> float:
    call()

    seconds = []
    for _ in range(REPETITIONS):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)

    return statistics.median(seconds)


if __name__ == '__main__':
    main()
