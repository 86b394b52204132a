"""Count and measure what a model costs, and its backbone alone: parameters, multiply-adds, seconds and memory.

Example: lkdense complexity upernet_slak_b_ade20k --shape 512 2048
         lkdense complexity upernet_slak_t_ade20k SLaK_tiny_checkpoint.pth --no-run
A multiply-add counts once. With a checkpoint, the columns "non-zero" leave out the weights that are zero. Some heads
cannot be counted: the reason is printed.
"""

import argparse
from collections.abc import Callable

import torch
from torch import nn

from ..analysis import compute_cost, count_parameters, measure_run, whole_pass, zero_at_random
from ..analysis.machine import machine
from ..errors import UserError, first_line
from ..models import build_model, load_model
from ._options import add_config_options, load_config

# Height and width in pixels, where --shape is not given.
DETECTION_SIZE = (800, 1280)
SEGMENTATION_SIZE = (512, 512)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_options(parser)
    parser.add_argument('checkpoint', nargs='?', help="the model's or the authors' weights")

    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        metavar=('H', 'W'),
        help='size of the image in pixels (default: 512 512, for detection 800 1280)',
    )
    parser.add_argument('--deploy', action='store_true', help="merge the backbone's parallel branches first")
    parser.add_argument(
        '--sparsity', type=float, default=0.0, help="share of the backbone's weights to set to zero (default: 0)"
    )
    parser.add_argument('--no-run', action='store_true', help='only count, measure neither time nor memory')


def main(args: argparse.Namespace) -> None:
    cfg = load_config(args)
    if not 0 <= args.sparsity < 1:
        raise UserError(f'--sparsity must be in [0, 1), got {args.sparsity}')

    model = load_model(cfg, args.checkpoint) if args.checkpoint else build_model(cfg)
    if not hasattr(model, 'backbone'):
        raise UserError(f'{args.config} is of a {type(model).__name__}, which has no backbone')

    if args.deploy:
        if not hasattr(model.backbone, 'switch_to_deploy'):
            raise UserError(f'--deploy: a {type(model.backbone).__name__} has nothing to merge')
        model.backbone.switch_to_deploy()
    if args.sparsity:
        zero_at_random(model.backbone, args.sparsity)

    default_size = DETECTION_SIZE if cfg.default_scope == 'mmdet' else SEGMENTATION_SIZE
    size = tuple(args.shape or default_size)
    model = model.to('cuda' if torch.cuda.is_available() else 'cpu').eval()

    print(f'one image of {size[0]} x {size[1]} pixels; {machine()}')
    print(f'{"":12} {"parameters":>14} {"non-zero":>14} {"GMAC":>9} {"non-zero":>9} {"seconds":>9} {"MiB":>7}')
    print(row('backbone', model.backbone, size, None, not args.no_run), flush=True)
    print(row('whole model', model, size, whole_pass, not args.no_run), flush=True)


def row(name: str, module: nn.Module, size: tuple[int, int], forward: Callable | None, measures: bool) -> str:
    """Return the line of a module in the table; one that ends early says what could not be done, and why."""
    parameters, nonzero = count_parameters(module)
    line = f'{name:12} {parameters:14,} {nonzero:14,}'
    step = 'counted'

    try:
        cost = compute_cost(module, size, forward)
        line += f' {cost.macs / 1e9:9.2f} {cost.sparse_macs / 1e9:9.2f}'

        step = 'measured'
        if measures:
            run = measure_run(module, size, forward)
            memory = '' if run.mebibytes is None else f'{run.mebibytes:7.0f}'
            line += f' {run.seconds:9.3f} {memory}'
    except Exception as error:
        # A head that wants more than feature maps may raise anything.
        line += f' not {step}: {first_line(error)}'

    return line
