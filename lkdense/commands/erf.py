"""Measure the effective receptive field of one or more models, and draw them side by side.

Example: lkdense erf upernet_slak_b_ade20k SLaK_base_checkpoint.pth --untrained --images data/ade/images --size 1024
         lkdense erf upernet_convnext_t_ade20k --images photos --and upernet_slak_t_ade20k model.backbone.small_kernel=3
It is that of the backbone of any config of mmsegmentation or mmdetection, or of a segmentor's decode head. Without a
checkpoint the weights are random. Writes erf.png, and erf.csv with the area for each share of the contribution.
"""

import argparse
import csv
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from numpy.typing import NDArray

from ..analysis import area_ratios, compute_both, plot_erf, stage_map
from ..analysis.erf import MOST_COLUMNS, Erf
from ..errors import UserError
from ..inference.media import find_images, model_images
from ..models import load_model
from ._options import RANDOM, ModelSpec, add_models_options, model_specs

STAGES = (1, 2, 3, 4, 'head')
# Fields of Erf, and the part of the gradient that each counts.
GRADIENTS = {'relu': 'positive part', 'signed': 'absolute value'}
COLUMNS = (
    *('model', 'weights', 'stage', 'gradients', 'images', 'height', 'width', 'largest contribution'),
    *('share of contribution', 'side in pixels', 'share of area'),
)

# Name and weights of a model.
Model = tuple[str, str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_models_options(parser)
    parser.add_argument(
        '--untrained', action='store_true', help='each model with a checkpoint also with random weights'
    )

    parser.add_argument('--images', type=Path, required=True, help='folder of images, at any depth')
    parser.add_argument(
        '--count', type=int, default=50, help='number of images, in the order of their names (default: 50)'
    )
    parser.add_argument(
        '--size',
        type=int,
        nargs='+',
        default=[1024],
        metavar='PIXELS',
        help='side, or height and width, that images are resized to (default: 1024)',
    )

    parser.add_argument(
        '--stage',
        type=lambda word: int(word) if word.isdigit() else word,
        default=4,
        choices=STAGES,
        help="the stage whose map is looked at; head: the scores of a segmentor's decode head (default: 4)",
    )
    parser.add_argument('--signed', action='store_true', help='also count what lowers the map, in a second row')
    parser.add_argument(
        '--out', type=Path, default=Path('work_dirs/erf'), help='folder of the results (default: work_dirs/erf)'
    )


def main(args: argparse.Namespace) -> None:
    if len(args.size) > 2 or min(args.size) < 1:
        raise UserError(f'--size takes a side, or a height and a width, got {args.size}')

    paths = find_images(args.images, args.count)
    args.out.mkdir(parents=True, exist_ok=True)

    fields = {}
    for spec in with_untrained(model_specs(args), args.untrained):
        # One config with random weights is the same for all its checkpoints.
        if (spec.name, spec.weights) in fields:
            continue

        try:
            fields[spec.name, spec.weights] = measure(spec, paths, args.size, args.stage)
        except ValueError as error:
            raise UserError(f'{spec.name}: {error}') from None

        # The table is written after each model, because the next may need more memory than there is.
        write_table(fields, args, len(paths))

    draw(fields, args)
    print(f'{args.out / "erf.png"}, {args.out / "erf.csv"}')


def with_untrained(specs: list[ModelSpec], untrained: bool) -> Iterator[ModelSpec]:
    """Yield the models that were asked for; if ``untrained``, random weights come before each checkpoint."""
    for spec in specs:
        if untrained and spec.checkpoint:
            yield spec._replace(checkpoint=None)
        yield spec


def measure(spec: ModelSpec, paths: list[Path], size: list[int], stage: int | str) -> Erf:
    """Measure one model.

    Raises:
        ValueError: it has no such stage, or no pixel moves that.
    """
    cfg = spec.read()
    model = load_model(cfg, spec.checkpoint)
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    images = (image.to(device) for image in model_images(cfg, paths, size))

    erf = compute_both(model.to(device), images, forward=partial(stage_map, stage=stage))

    for area in area_ratios(erf.relu):
        print(
            f'{spec.name}, {spec.weights} weights: {area.threshold:.0%} of the contribution in {area.side} pixels, '
            f'{area.ratio:.1%} of the area',
            flush=True,
        )
    return erf


def write_table(fields: dict[Model, Erf], args: argparse.Namespace, count: int) -> None:
    """Write erf.csv: a line for each share of the contribution, model and kind of gradient."""
    with (args.out / 'erf.csv').open('w', newline='') as file:
        table = csv.writer(file, lineterminator='\n')
        table.writerow(COLUMNS)

        for gradients, (name, weights), contribution in contributions(fields, args.signed):
            height, width = contribution.shape
            largest = f'{contribution.max():.4g}'
            for area in area_ratios(contribution):
                setting = (name, weights, args.stage, gradients, count, height, width, largest)
                table.writerow((*setting, area.threshold, area.side, f'{area.ratio:.4f}'))


def draw(fields: dict[Model, Erf], args: argparse.Namespace) -> None:
    """Draw erf.png: up to four models side by side, and each kind of gradient in a row of its own."""
    checkpoints = Counter(name for name, weights in fields if weights != RANDOM)
    maps = {}

    for gradients, (name, weights), contribution in contributions(fields, args.signed):
        # Where a config has several checkpoints, the reader has to know whose map it is.
        if weights == RANDOM:
            words = 'random weights'
        elif checkpoints[name] == 1:
            words = 'trained'
        else:
            words = f'weights {weights}'

        title = [*name.split(', '), words]
        if args.signed:
            title.append(gradients)
        maps['\n'.join(title)] = contribution

    columns = len(fields) if args.signed and len(fields) <= MOST_COLUMNS else None
    plot_erf(maps, columns).savefig(args.out / 'erf.png', dpi=120)


def contributions(fields: dict[Model, Erf], signed: bool) -> Iterator[tuple[str, Model, NDArray]]:
    """Yield the kind of gradient, the model and its contribution."""
    for field in GRADIENTS if signed else ('relu',):
        for model, erf in fields.items():
            yield GRADIENTS[field], model, getattr(erf, field)
