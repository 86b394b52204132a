"""Draw what the data loader of a config feeds: images after augmentation with their labels, beside the files.

Example: lkdense browse upernet_slak_t_ade20k --out browsed --count 16
         lkdense browse cascade_mask_rcnn_slak_t_coco --out browsed --phase val
The images of training come in the order and with the crops, flips and colours that a training on one process gets.
"""

import argparse
from itertools import islice
from pathlib import Path

from mmengine.config import Config
from mmengine.utils import track_iter_progress

from ..config import without_onedl_notice
from ..data.browse import Feed, file_name
from ..errors import UserError
from ._options import add_config_options, load_config
from ._preflight import check_files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_options(parser)
    parser.add_argument('--out', type=Path, required=True, help='folder of the pictures')
    parser.add_argument('--count', type=int, default=20, help='how many images to draw (default: 20)')
    parser.add_argument(
        '--phase',
        choices=['train', 'val', 'test'],
        default='train',
        help="which of the config's data loaders (default: train)",
    )


def main(args: argparse.Namespace) -> None:
    with without_onedl_notice():
        cfg = load_config(args)
        loader = f'{args.phase}_dataloader'
        if not cfg.get(loader):
            raise UserError(f'{args.config} has no {loader}')
        # without the metric, whose files are not needed
        check_files(Config({loader: cfg[loader]}), args.phase)
        feed = Feed(cfg, args.phase)

    args.out.mkdir(parents=True, exist_ok=True)
    drawn = 0
    for drawn, fed in enumerate(track_iter_progress((islice(feed, args.count), args.count)), start=1):
        feed.picture(fed).save(args.out / file_name(fed, drawn - 1))

    print(f'\n{drawn} images of {args.phase} drawn into {args.out}')
