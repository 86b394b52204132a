"""Put one of lkdense's backbones into a config of mmsegmentation 1.x or mmdetection 3.x.

Example: lkdense swap my_upernet_r50.py slak_t --checkpoint SLaK_tiny_checkpoint.pth -o my_upernet_slak_t.py
The new config inherits yours and sets the backbone, the widths of all that reads it, the optimizer with the layer-wise
decay of our recipes, and the normalization of images; it is built and run on a small image before it is kept. A
backbone is named as in the configs: slak_t, replknet_31b, convnext_b, unireplknet_s, slak_pico, ...
"""

import argparse
import os
from pathlib import Path

from mmengine.config import DictAction

from ..checkpoints.file import CheckpointError
from ..config import find_config, without_onedl_notice
from ..errors import UserError
from ..swap import Choices, Maps, SwapError, cost_table, inner, optimizer_fails, read, swap_backbone, try_out, written
from ._preflight import check_checkpoint

# a difference longer than this many characters is cut
SHOWN = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'config', metavar='CONFIG', help="the config that you have: a path, or the name of one of lkdense's"
    )
    parser.add_argument('backbone', metavar='BACKBONE', help='such as slak_t')
    parser.add_argument(
        '-o', '--out', metavar='NEW', help='the config to write (default: CONFIG_BACKBONE.py in the current folder)'
    )
    parser.add_argument('--checkpoint', metavar='PATH', help="the backbone's weights, such as its authors' file")
    parser.add_argument(
        '--drop-path', type=float, metavar='RATE', help='of stochastic depth (default: that of our recipe)'
    )
    parser.add_argument('--keep-optimizer', action='store_true', help='change nothing in how the config trains')
    parser.add_argument(
        '--their-maps',
        nargs='+',
        type=_map,
        metavar='STRIDE:WIDTH',
        help='of the maps of the old backbone, if it cannot be built here: 4:256 8:512 16:1024 32:2048',
    )
    parser.add_argument(
        '--set',
        nargs='+',
        action=DictAction,
        default={},
        metavar='KEY=VALUE',
        help='a width that cannot be told: model.neck.in_channels="[64,128]"',
    )
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        default=(512, 512),
        metavar=('H', 'W'),
        help='for the cost, in pixels (default: 512 512)',
    )


def main(args: argparse.Namespace) -> None:
    theirs = find_config(args.config)
    out = Path(args.out or f'{theirs.stem}_{args.backbone}.py')
    if out.exists():
        raise UserError(f'{out} is there already; -o names another file')
    if not out.parent.is_dir():
        raise UserError(f'there is no folder {out.parent} to write {out.name} into')

    weights = check_checkpoint(args.checkpoint, '--checkpoint') if args.checkpoint else {}
    with without_onedl_notice():
        cfg = read(theirs)

    choices = Choices(
        checkpoint=args.checkpoint,
        drop_path_rate=args.drop_path,
        keep_optimizer=args.keep_optimizer,
        their_maps=args.their_maps and Maps(*zip(*args.their_maps)),
        given=args.set,
    )
    swap = swap_backbone(cfg, args.backbone, choices)
    out.write_text(written(_base(theirs, out), swap.changes, f'{theirs.stem} with {args.backbone} as its backbone.'))

    for path, before, after in swap.differences:
        print(f'{path}: {_short(before)} -> {_short(after)}')

    print('\n'.join(f'note: {note}' for note in swap.notes))
    new = read(out)
    try:
        model = try_out(new)
    except SwapError as error:
        raise UserError(f'{out} is written, but its model fails on a small image: {error}') from None

    if weights:
        try:
            inner(model).backbone.init_weights()
        except CheckpointError:
            out.unlink()
            raise

    print('\n'.join(cost_table(cfg, new, tuple(args.shape))))
    print(f'built, and run on a small image: {out}')
    if (obstacle := optimizer_fails(model, new)) is not None:
        print(f'but it cannot be trained yet, because its optimizer cannot be built: {obstacle}')


def _map(text: str) -> tuple[int, int]:
    stride, width = text.split(':')
    return int(stride), int(width)


def _base(theirs: Path, out: Path) -> str:
    # a path that was given as an absolute one may lie in another package
    return str(theirs) if theirs.is_absolute() else os.path.relpath(theirs, out.parent)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f'{text[:SHOWN]}...'
