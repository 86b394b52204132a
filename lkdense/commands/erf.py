"""Measure the effective receptive field of one or more models, and draw them side by side.

Example: lkdense erf upernet_slak_b_ade20k SLaK_base_checkpoint.pth --untrained --images data/ade/images --size 1024
         lkdense erf upernet_convnext_t_ade20k --images photos --and upernet_slak_t_ade20k model.backbone.small_kernel=3
Of the backbone of any config of mmsegmentation or mmdetection, or of a segmentor's decode head. Without a checkpoint
the weights are random. Writes erf.png, and erf.csv with the area for each share of the contribution.
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
# fields of Erf, and what of the gradient each counts
WAYS = {'relu': 'positive part', 'signed': 'absolute value'}
COLUMNS = (
    *('model', 'weights', 'stage', 'gradients', 'images', 'height', 'width', 'largest contribution'),
    *('share of contribution', 'side in pixels', 'share of area'),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_models_options(parser)
    parser.add_argument(
        '--untrained', action='store_true', help='each model with a checkpoint also with random weights'
    )
    parser.add_argument('--images', type=Path, required=True, help='folder of images, at any depth')
    parser.add_argument(
        '--count', type=int, default=50, help='how many of them, in the order of their names (default: 50)'
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
        help="whose map is looked at; head: the scores of a segmentor's decode head (default: 4)",
    )
    parser.add_argument('--signed', action='store_true', help='also count what lowers the map, in a second row')
    parser.add_argument(
        '--out', type=Path, default=Path('work_dirs/erf'), help='folder of what is written (default: work_dirs/erf)'
    )


def main(args: argparse.Namespace) -> None:
    if len(args.size) > 2 or min(args.size) < 1:
        raise UserError(f'--size takes a side, or a height and a width, got {args.size}')
    paths = find_images(args.images, args.count)
    args.out.mkdir(parents=True, exist_ok=True)
    found = {}
    for choice in measured(model_specs(args), args.untrained):
        if (choice.name, choice.weights) in found:
            continue  # one config with random weights is the same for all its checkpoints
        try:
            found[choice.name, choice.weights] = measure(choice, paths, args.size, args.stage)
        except ValueError as error:
            raise UserError(f'{choice.name}: {error}') from None
        # each before the next begins, which may need more memory than there is
        write(found, args, len(paths))
    draw(found, args)
    print(f'{args.out / "erf.png"}, {args.out / "erf.csv"}')


def measured(choices: list[ModelSpec], untrained: bool) -> Iterator[ModelSpec]:
    """Give the models that were asked for, those with a checkpoint first with random weights if that was asked."""
    for choice in choices:
        if untrained and choice.checkpoint:
            yield choice._replace(checkpoint=None)
        yield choice


def measure(choice: ModelSpec, paths: list[Path], size: list[int], stage: int | str) -> Erf:
    """Measure one model.

    Raises:
        ValueError: it has no such stage, or no pixel moves that.
    """
    cfg = choice.read()
    model = load_model(cfg, choice.checkpoint)
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    images = (image.to(device) for image in model_images(cfg, paths, size))
    found = compute_both(model.to(device), images, forward=partial(stage_map, stage=stage))
    for area in area_ratios(found.relu):
        print(
            f'{choice.name}, {choice.weights} weights: {area.threshold:.0%} of the contribution in {area.side} pixels, '
            f'{area.ratio:.1%} of the area',
            flush=True,
        )
    return found


def write(found: dict[tuple[str, str], Erf], args: argparse.Namespace, count: int) -> None:
    """Write erf.csv: a line for each share of the contribution, model and way of counting."""
    with (args.out / 'erf.csv').open('w', newline='') as file:
        table = csv.writer(file, lineterminator='\n')
        table.writerow(COLUMNS)
        for way, (name, weights), contribution in each(found, args.signed):
            about = (name, weights, args.stage, way, count, *contribution.shape, f'{contribution.max():.4g}')
            table.writerows(
                (*about, area.threshold, area.side, f'{area.ratio:.4f}') for area in area_ratios(contribution)
            )


def draw(found: dict[tuple[str, str], Erf], args: argparse.Namespace) -> None:
    """Draw erf.png: up to four models side by side, and each way of counting in a row of its own."""
    trained = Counter(name for name, weights in found if weights != RANDOM)
    pictures = {}
    for way, (name, weights), contribution in each(found, args.signed):
        # which checkpoint it was matters where a config has several
        words = 'random weights' if weights == RANDOM else 'trained' if trained[name] == 1 else f'weights {weights}'
        lines = [*name.split(', '), words, *([way] if args.signed else [])]
        pictures['\n'.join(lines)] = contribution
    columns = len(found) if args.signed and len(found) <= MOST_COLUMNS else None
    plot_erf(pictures, columns).savefig(args.out / 'erf.png', dpi=120)


def each(found: dict[tuple[str, str], Erf], signed: bool) -> Iterator[tuple[str, tuple[str, str], NDArray]]:
    """Give how it was counted, whose it is, and the contribution."""
    for field in WAYS if signed else ('relu',):
        for whose, erf in found.items():
            yield WAYS[field], whose, getattr(erf, field)
