"""What the model of a config costs, and its backbone alone: parameters, multiply-adds, seconds and memory.

Example: lkdense complexity upernet_slak_b_ade20k --shape 512 2048
         lkdense complexity upernet_slak_t_ade20k SLaK_tiny_checkpoint.pth --no-run
A multiply-add counts once. With a checkpoint, its zeros are left out of the figures for non-zero weights. Some heads
cannot be counted: the reason is given.
"""

import argparse

import torch

from ..analysis import compute_cost, count_parameters, measure_run, whole_pass, zero_at_random
from ..analysis.machine import machine
from ..errors import UserError, first_line
from ..models import build_model, load_model
from ._options import add_config_options, load_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_options(parser)
    parser.add_argument('checkpoint', nargs='?', help="the model's or the authors' weights")
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        metavar=('H', 'W'),
        help='of the image in pixels (default: 512 512, for detection 800 1280)',
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
    size = tuple(args.shape or ((800, 1280) if cfg.default_scope == 'mmdet' else (512, 512)))
    model = model.to('cuda' if torch.cuda.is_available() else 'cpu').eval()
    parts = {'backbone': (model.backbone, None), 'whole model': (model, whole_pass)}
    print(f'one image of {size[0]} x {size[1]} pixels; {machine()}')
    print(f'{"":12} {"parameters":>14} {"non-zero":>14} {"GMAC":>9} {"non-zero":>9} {"seconds":>9} {"MiB":>7}')
    for name, (module, forward) in parts.items():
        parameters, nonzero = count_parameters(module)
        line, missing = f'{name:12} {parameters:14,} {nonzero:14,}', 'counted'
        try:
            cost = compute_cost(module, size, forward)
            line, missing = f'{line} {cost.macs / 1e9:9.2f} {cost.sparse_macs / 1e9:9.2f}', 'measured'
            if not args.no_run:
                run = measure_run(module, size, forward)
                line += f' {run.seconds:9.3f} ' + ('' if run.mebibytes is None else f'{run.mebibytes:7.0f}')
        except Exception as error:  # whatever a head raises that asks for more than feature maps
            line += f' not {missing}: {first_line(error)}'
        print(line, flush=True)
