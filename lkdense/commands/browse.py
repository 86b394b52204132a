"""Draw what a config's data loader gives to the model: images after augmentation, with their labels, beside the files.

Example: lkdense browse upernet_slak_t_ade20k --out browsed --count 16
         lkdense browse cascade_mask_rcnn_slak_t_coco --out browsed --phase val
Training images come in the order, and with the crops, flips and colours, that a training on one process gets.
"""

import argparse
from itertools import islice
from pathlib import Path

from mmengine.config import Config
from mmengine.utils import track_iter_progress

from ..config import without_onedl_notice
from ..data.browse import LoaderPreview, file_name
from ..errors import UserError
from ._options import add_config_options, load_config
from ._preflight import check_files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_options(parser)
    parser.add_argument('--out', type=Path, required=True, help='folder to write the pictures to')
    parser.add_argument('--count', type=int, default=20, help='how many images to draw (default: 20)')
    parser.add_argument(
        '--phase',
        choices=['train', 'val', 'test'],
        default='train',
        help="which of the config's data loaders to read (default: train)",
    )


def main(args: argparse.Namespace) -> None:
    with without_onedl_notice():
        cfg = load_config(args)
        loader = f'{args.phase}_dataloader'
        if not cfg.get(loader):
            raise UserError(f'{args.config} has no {loader}')

        # Only the loader is checked: the files of the metric are not needed.
        check_files(Config({loader: cfg[loader]}), args.phase)
        preview = LoaderPreview(cfg, args.phase)

    args.out.mkdir(parents=True, exist_ok=True)
    drawn = 0
    for sample in track_iter_progress((islice(preview, args.count), args.count)):
        preview.picture(sample).save(args.out / file_name(sample, drawn))
        drawn += 1

    print(f'\n{drawn} images of {args.phase} drawn into {args.out}')
