"""Serve a page on this machine: drop an image, see what one or two models say of it, and where they look.

Example: lkdense serve upernet_slak_t_ade20k iter_160000.pth --images data/ade/ADEChallengeData2016/images/validation
         lkdense serve upernet_slak_t_ade20k slak.pth --and upernet_convnext_t_ade20k convnext.pth
Shown are segmentation or detections, and for the place under the pointer the scores and the effective receptive field.
Images stay in memory, nothing is written to disk. It takes `pip install 'lkdense[serve]'`.
"""

import argparse
from pathlib import Path

from ..config import read_config
from ..errors import UserError
from ._options import add_config_options, load_config

LOOPBACK = ('127.0.0.1', 'localhost')
SMALLEST = 32  # pixels


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_options(parser)
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='of the whole model')
    parser.add_argument(
        '--and',
        dest='other',
        nargs=2,
        metavar=('CONFIG', 'CHECKPOINT'),
        help='another model, to compare with; --cfg-options change both',
    )
    parser.add_argument('--images', type=Path, metavar='DIR', help='folder of example images, at any depth')
    parser.add_argument(
        '--host', default=LOOPBACK[0], help='address to listen at (default: 127.0.0.1, this machine alone)'
    )
    parser.add_argument('--port', type=int, default=8000, help='0 for any that is free (default: 8000)')
    parser.add_argument(
        '--side', type=int, default=1024, help='pixels to which larger images are reduced (default: 1024)'
    )


def main(args: argparse.Namespace) -> None:
    try:
        from ..serve.app import create_app, open_server
    except ModuleNotFoundError as error:
        if error.name != 'flask':
            raise
        raise UserError("the page needs Flask, which is not installed: pip install 'lkdense[serve]'") from None

    from ..serve.images import find_examples
    from ..serve.served_model import Subject

    if args.side < SMALLEST:
        raise UserError(f'--side must be at least {SMALLEST}, got {args.side}')

    examples = find_examples(args.images) if args.images else []
    if args.images and not examples:
        raise UserError(f'--images: no image below {args.images}')

    subjects = [Subject(Path(args.config).stem, load_config(args), args.checkpoint)]
    if args.other:
        config, checkpoint = args.other
        subjects.append(Subject(Path(config).stem, read_config(config, args.cfg_options), checkpoint))

    # who can reach the page from elsewhere may call this machine by any name
    app = create_app(subjects, examples, args.side, LOOPBACK if args.host in LOOPBACK else None)
    server = open_server(app, args.host, args.port)
    print(
        f'http://{args.host}:{server.port} shows {" and ".join(s.name for s in subjects)}; Ctrl-C ends it', flush=True
    )
    server.serve_forever()
