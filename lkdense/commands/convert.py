"""Write the authors' checkpoint under lkdense's names, and say what it is.

Example: lkdense convert SLaK_tiny_checkpoint.pth slak_t.pth
         lkdense convert upernet_31B1K_ade.pth replknet.safetensors
Family, arch and kernels are told from the entries alone. Also takes the checkpoint of a whole segmentor or detector of
mmsegmentation 0.x or mmdetection 2.x. Nothing is written unless every entry is explained.
"""

import argparse
from pathlib import Path

from .. import __version__
from ..backbones.recognition import recognise, summary
from ..checkpoints.file import SAFETENSORS, read, trust_checkpoints, write
from ..errors import UserError
from ._options import add_trust_option


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('source', metavar='IN', type=Path, help='the checkpoint to read')
    parser.add_argument('target', metavar='OUT', type=Path, help='the file to write, .pth or .safetensors')
    add_trust_option(parser)


def main(args: argparse.Namespace) -> None:
    if args.trust_checkpoint:
        trust_checkpoints()

    checkpoint = read(args.source)
    try:
        found = recognise(checkpoint)
    except ValueError as error:
        raise UserError(f'{args.source} is {error}; nothing was written') from None

    print(summary(found))
    if args.target.suffix == SAFETENSORS:
        write(found.weights, args.target)
    else:
        write(dict(meta=meta(checkpoint, args.source), state_dict=found.weights), args.target)

    print(f'{args.target} written')


def meta(checkpoint: dict, source: Path) -> dict:
    """Return what today's mmsegmentation and mmdetection read beside the weights: names and colours of classes."""
    before = checkpoint.get('meta') or {}
    classes = {key.lower(): before[key] for key in ('CLASSES', 'PALETTE') if before.get(key)}
    dataset = before.get('dataset_meta') or classes
    return dict(lkdense_version=__version__, source=source.name, **dict(dataset_meta=dataset) if dataset else {})
