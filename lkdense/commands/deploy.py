"""Merge the backbone's parallel branches and batch norms in a checkpoint, once it is trained.

Example: lkdense deploy upernet_replknet_31b_ade20k iter_40000.pth deployed.pth
Takes the checkpoint of a whole model, or of its backbone alone, and writes the same kind. What is written fits the same
config with model.backbone.deploy=True.
"""

import argparse
from pathlib import Path

import torch

from .. import __version__
from ..checkpoints.file import SAFETENSORS, read, write
from ..checkpoints.keys import unwrap
from ..errors import UserError
from ..models import is_bare, load_model
from ._options import add_config_options, load_config

# how far merged maps may be from those of the branches, relative to the largest value
TOLERANCE = 1e-3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_options(parser)
    parser.add_argument('source', metavar='IN', type=Path, help='the checkpoint to read')
    parser.add_argument('target', metavar='OUT', type=Path, help='the file to write, .pth or .safetensors')


def main(args: argparse.Namespace) -> None:
    cfg = load_config(args)
    model = load_model(cfg, args.source)
    if not hasattr(model.backbone, 'switch_to_deploy'):
        raise UserError(f'a {type(model.backbone).__name__} has nothing to merge')

    checkpoint = read(args.source)
    merged = model.backbone if is_bare(unwrap(checkpoint)) else model
    image = torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    # with gradients, because without them branches may run merged already
    before, size = [output.detach() for output in model.backbone(image)], parameters(merged)
    model.backbone.switch_to_deploy()

    with torch.no_grad():
        change = max(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(model.backbone(image), before))

    if not change <= TOLERANCE:
        raise UserError(f'merged, the backbone gives other maps: {change:.1e} of their largest value is too much')

    meta = {key: value for key, value in (checkpoint.get('meta') or {}).items() if key in ('dataset_meta', 'CLASSES')}
    state = merged.state_dict()
    if args.target.suffix != SAFETENSORS:
        state = dict(meta=dict(meta, lkdense_version=__version__), state_dict=state)

    write(state, args.target)
    print(f'{args.target}: {size:,} parameters before, {parameters(merged):,} after')
    print(f'on random pixels the maps of the backbone changed by {change:.1e} of their largest value')
    print(f'lkdense test {args.config} {args.target} --cfg-options model.backbone.deploy=True')


def parameters(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
