"""Print how sparse a checkpoint is: the density of each layer, and what its zeros save in theory.

Example: lkdense sparsity SLaK_tiny_checkpoint.pth
         lkdense sparsity iter_160000.pth --shape 512 512 --all
Reads the checkpoint of a backbone or of a whole model. Multiply-adds are those of the backbone.
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
    parser.add_argument('checkpoint', help="the checkpoint to read, under the authors' names or ours")
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        default=(224, 224),
        metavar=('H', 'W'),
        help='size of the image for which multiply-adds are counted, in pixels (default: 224 224)',
    )
    parser.add_argument(
        '--all', action='store_true', help='print every layer instead of the mean over each kind of layer and stage'
    )
    add_trust_option(parser)


def main(args: argparse.Namespace) -> None:
    if args.trust_checkpoint:
        trust_checkpoints()

    try:
        checkpoint = recognise(read(args.checkpoint))
    except ValueError as error:
        raise UserError(f'{args.checkpoint} is {error}') from None

    backbone = checkpoint.family(**checkpoint.arguments).eval()
    backbone.load_state_dict({key.removeprefix(BACKBONE): checkpoint.weights[key] for key in checkpoint.mapped})
    layers = sparse_parameters(backbone)
    print(checkpoint.backbone)

    densities = from_zeros(layers)
    for group, names in group_layers(layers, each=args.all).items():
        size = sum(layers[name].numel() for name in names)
        active = sum(densities[name] * layers[name].numel() for name in names)
        print(f'{group:48} {size:12,} weights, {active / size:7.1%} not zero')

    height, width = args.shape
    cost = compute_cost(backbone, (height, width))
    print(f'parameters {cost.parameters:,}, not zero {cost.nonzero:,} ({cost.nonzero / cost.parameters:.1%})')
    print(
        f'multiply-adds at {height} x {width}: {cost.macs / 1e9:.2f} G, '
        f'without those of zeros {cost.sparse_macs / 1e9:.2f} G ({cost.sparse_macs / cost.macs:.1%}); '
        'in theory: no backend skips them'
    )


def group_layers(layers: dict, each: bool) -> dict[str, list[str]]:
    """Return the names of layers by the label of their line: one line each, or one for a kind of layer in a stage."""
    if each:
        return {name: [name] for name in layers}

    groups = defaultdict(list)
    for name in layers:
        part, stage, *inside = name.removesuffix('.weight').split('.')
        label = f'{part}.{stage} {".".join(inside[1:])}' if part == 'stages' else part
        groups[label].append(name)

    return groups
