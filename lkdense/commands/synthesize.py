"""Write a small synthetic data set in the layout of a real one, for trying a config without the real one.

Example: lkdense synthesize --layout ade20k --images 200 --size 256 --out data
"""

import argparse

from ..data.synthetic import LAYOUTS, write_scenes
from ..errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--layout', required=True, choices=LAYOUTS, help='whose files to imitate')
    parser.add_argument('--out', required=True, metavar='DIR', help="takes the place of the configs' data folder")
    parser.add_argument('--images', type=int, default=200, help='images in all (default: 200)')
    parser.add_argument(
        '--size', type=int, nargs='+', default=[256], metavar='PIXELS', help='side, or height and width (default: 256)'
    )
    parser.add_argument(
        '--classes',
        type=int,
        default=8,
        help='classes of objects, background apart (default: 8); up to 4 differ in texture: much easier to learn',
    )
    parser.add_argument('--seed', type=int, default=0, help='the same seed gives the same files (default: 0)')
    parser.add_argument(
        '--val-fraction', type=float, default=0.2, help='share of images for validation (VOC2007: test; default: 0.2)'
    )
    parser.add_argument('--overwrite', action='store_true', help='replace a synthetic set; never a real one')


def main(args: argparse.Namespace) -> None:
    try:
        written = write_scenes(
            args.layout,
            args.out,
            images=args.images,
            size=args.size[0] if len(args.size) == 1 else tuple(args.size),
            seed=args.seed,
            val_fraction=args.val_fraction,
            num_classes=args.classes,
            overwrite=args.overwrite,
        )
    except (ValueError, OSError) as error:
        raise UserError(str(error)) from None

    state = 'is there already' if written.reused else 'written'
    print(f'{written.folder}: {state}, {written.train} images for training, {written.val} for validation')
    print(f'classes: {", ".join(LAYOUTS[args.layout].classes[: args.classes])}')
    print(f"data_root = '{written.data_root}/'")
