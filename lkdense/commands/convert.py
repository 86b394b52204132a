"""Convert the authors' checkpoint to lkdense's names, and print what it is.

Example: lkdense convert SLaK_tiny_checkpoint.pth slak_t.pth
         lkdense convert upernet_31B1K_ade.pth replknet.safetensors
Family, arch and kernels are recognised from the entries alone. The checkpoint may also be that of a whole segmentor or
detector of mmsegmentation 0.x or mmdetection 2.x. Nothing is written unless every entry is explained.
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
        recognised = recognise(checkpoint)
    except ValueError as error:
        raise UserError(f'{args.source} is {error}; nothing was written') from None

    print(summary(recognised))
    converted = recognised.weights
    if args.target.suffix != SAFETENSORS:
        converted = dict(meta=meta_of(checkpoint, args.source), state_dict=converted)

    write(converted, args.target)
    print(f'{args.target} written')


def meta_of(checkpoint: dict, source: Path) -> dict:
    """Return what today's mmsegmentation and mmdetection read beside the weights: names and colours of classes."""
    old = checkpoint.get('meta') or {}
    classes = {key.lower(): old[key] for key in ('CLASSES', 'PALETTE') if old.get(key)}

    meta = dict(lkdense_version=__version__, source=source.name)
    if old.get('dataset_meta') or classes:
        meta['dataset_meta'] = old.get('dataset_meta') or classes

    return meta
