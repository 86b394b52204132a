"""Merge the backbone's parallel branches and batch norms in a trained checkpoint.

Example: lkdense deploy upernet_replknet_31b_ade20k iter_40000.pth deployed.pth
Takes the checkpoint of a whole model, or of its backbone alone, and writes the same kind. The new checkpoint fits the
same config with model.backbone.deploy=True.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from .. import __version__
from ..checkpoints.file import SAFETENSORS, read, write
from ..checkpoints.keys import unwrap
from ..errors import UserError
from ..models import is_bare, load_model
from ._options import add_config_options, load_config

# Difference between the maps before and after, relative to the largest value.
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
    part = model.backbone if is_bare(unwrap(checkpoint)) else model
    size = parameter_count(part)

    # Without gradients, branches may be merged already while they run, so the first pass is one with gradients.
    image = torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    before = [output.detach() for output in model.backbone(image)]
    model.backbone.switch_to_deploy()

    with torch.no_grad():
        after = model.backbone(image)

    change = largest_change(before, after)
    if not change <= TOLERANCE:
        raise UserError(
            f'merged, the backbone gives other maps: a change of {change:.1e} of their largest value is too much'
        )

    weights = part.state_dict()
    if args.target.suffix != SAFETENSORS:
        weights = dict(meta=meta_of(checkpoint), state_dict=weights)
    write(weights, args.target)

    print(f'{args.target}: {size:,} parameters before, {parameter_count(part):,} after')
    print(f'on random pixels the maps of the backbone changed by {change:.1e} of their largest value')
    print(f'lkdense test {args.config} {args.target} --cfg-options model.backbone.deploy=True')


def largest_change(before: Sequence[torch.Tensor], after: Sequence[torch.Tensor]) -> float:
    """Return the largest difference of two sequences of maps, each relative to its largest value before."""
    changes = []
    for old, new in zip(before, after, strict=True):
        changes.append(((new - old).abs().max() / old.abs().max()).item())

    return max(changes)


def meta_of(checkpoint: dict) -> dict:
    """Return what a checkpoint says about its classes, and the version of lkdense."""
    meta = checkpoint.get('meta') or {}
    about_classes = {key: meta[key] for key in ('dataset_meta', 'CLASSES') if key in meta}

    return dict(about_classes, lkdense_version=__version__)


def parameter_count(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
