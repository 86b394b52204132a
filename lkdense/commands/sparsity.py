"""How sparse a checkpoint is: the density of each layer, and what its zeros save in theory.

Example: lkdense sparsity SLaK_tiny_checkpoint.pth
         lkdense sparsity iter_160000.pth --shape 512 512 --all
Reads the checkpoint of a backbone, or of a whole model, of whose backbone the multiply-adds are counted.
"""

import argparse
from collections import defaultdict

from ..analysis import compute_cost
from ..backbones.recognition import recognise
from ..checkpoints.file import read, trust_checkpoints
from ..checkpoints.keys import BACKBONE
from ..errors import UserError
from ..training.sparse_masks import from_zeros, sparse_parameters
from ._options import add_trust_option


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('checkpoint', help="the authors' or ours")
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        default=(224, 224),
        metavar=('H', 'W'),
        help='of the image, in pixels (default: 224 224)',
    )
    parser.add_argument('--all', action='store_true', help='every layer, not only the means of each kind and stage')
    add_trust_option(parser)


def main(args: argparse.Namespace) -> None:
    if args.trust_checkpoint:
        trust_checkpoints()

    try:
        found = recognise(read(args.checkpoint))
    except ValueError as error:
        raise UserError(f'{args.checkpoint} is {error}') from None

    backbone = found.family(**found.arguments).eval()
    backbone.load_state_dict({key.removeprefix(BACKBONE): found.weights[key] for key in found.mapped})
    layers = sparse_parameters(backbone)
    densities = from_zeros(layers)
    print(found.backbone)

    for group, names in groups(layers, each=args.all).items():
        size = sum(layers[name].numel() for name in names)
        active = sum(densities[name] * layers[name].numel() for name in names)
        print(f'{group:48} {size:12,} weights, {active / size:7.1%} not zero')

    cost = compute_cost(backbone, tuple(args.shape))
    print(f'parameters {cost.parameters:,}, not zero {cost.nonzero:,} ({cost.nonzero / cost.parameters:.1%})')
    print(
        f'multiply-adds at {args.shape[0]} x {args.shape[1]}: {cost.macs / 1e9:.2f} G, '
        f'without those of zeros {cost.sparse_macs / 1e9:.2f} G ({cost.sparse_macs / cost.macs:.1%}); '
        'in theory: no backend skips them'
    )


def groups(layers: dict, each: bool) -> dict[str, list[str]]:
    """Return the names of layers by what stands before a line: each its own, or those of one kind in one stage."""
    if each:
        return {name: [name] for name in layers}
    found = defaultdict(list)
    for name in layers:
        part, stage, *inside = name.removesuffix('.weight').split('.')
        found[f'{part}.{stage} {".".join(inside[1:])}' if part == 'stages' else part].append(name)
    return found
