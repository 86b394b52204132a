"""Serve a page on this machine: drop an image, see what one or two models predict for it, and where they look.

Example: lkdense serve upernet_slak_t_ade20k iter_160000.pth --images data/ade/ADEChallengeData2016/images/validation
         lkdense serve upernet_slak_t_ade20k slak.pth --and upernet_convnext_t_ade20k convnext.pth
The page shows segmentations or detections and, for the place under the pointer, the scores and the effective receptive
field. Images stay in memory, nothing is written to disk. It needs `pip install 'lkdense[serve]'`.
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
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='weights of the whole model')
    parser.add_argument(
        '--and',
        dest='other',
        nargs=2,
        metavar=('CONFIG', 'CHECKPOINT'),
        help='another model to compare with; --cfg-options change both configs',
    )
    parser.add_argument(
        '--images', type=Path, metavar='DIR', help='folder of example images; those in its subfolders are found, too'
    )

    parser.add_argument(
        '--host', default=LOOPBACK[0], help='address to listen at (default: 127.0.0.1, for this machine only)'
    )
    parser.add_argument('--port', type=int, default=8000, help='port to listen at, 0 for any free one (default: 8000)')
    parser.add_argument(
        '--side', type=int, default=1024, help='side in pixels to which larger images are reduced (default: 1024)'
    )


def main(args: argparse.Namespace) -> None:
    try:
        from ..serve.app import create_app, open_server
    except ModuleNotFoundError as error:
        if error.name != 'flask':
            raise
        raise UserError("the page needs Flask, which is not installed: pip install 'lkdense[serve]'") from None

    from ..inference.media import find_images
    from ..serve.served_model import ServedModel

    if args.side < SMALLEST:
        raise UserError(f'--side must be at least {SMALLEST}, got {args.side}')

    examples = find_images(args.images) if args.images else []
    models = [ServedModel(Path(args.config).stem, load_config(args), args.checkpoint)]
    if args.other:
        config, checkpoint = args.other
        models.append(ServedModel(Path(config).stem, read_config(config, args.cfg_options), checkpoint))

    # Other machines may call this one by any name, so only a page for this machine alone insists on its own names.
    hosts = LOOPBACK if args.host in LOOPBACK else None
    server = open_server(create_app(models, examples, args.side, hosts), args.host, args.port)

    names = ' and '.join(model.name for model in models)
    print(f'http://{args.host}:{server.port} shows {names}; Ctrl-C ends it', flush=True)
    server.serve_forever()
