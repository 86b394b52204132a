"""Put one of lkdense's backbones into a config of mmsegmentation 1.x or mmdetection 3.x.

Example: lkdense swap my_upernet_r50.py slak_t --checkpoint SLaK_tiny_checkpoint.pth -o my_upernet_slak_t.py
The new config inherits yours and sets the backbone, the widths of all necks and heads that read it, the optimizer with
the layer-wise decay of our recipes, and the normalization of images. Its model is built and run on a small image.
Backbones have the names that the configs use: slak_t, replknet_31b, convnext_b, unireplknet_s, slak_pico, ...
"""

import argparse
import os
from pathlib import Path

from mmengine.config import DictAction

from ..checkpoints.file import CheckpointError
from ..config import find_config
from ..errors import UserError
from ..swap import (
    Maps,
    SwapError,
    SwapOptions,
    compare_costs,
    find_optimizer_error,
    read_host_config,
    render_config,
    run_smoke_test,
    swap_backbone,
    unwrap_detector,
)
from ._preflight import check_checkpoint

LONGEST_VALUE = 100  # characters of a value in the list of differences


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('config', metavar='CONFIG', help="your config: a path, or the name of one of lkdense's")
    parser.add_argument('backbone', metavar='BACKBONE', help='the new backbone, such as slak_t')

    parser.add_argument(
        '-o', '--out', metavar='NEW', help='the config to write (default: CONFIG_BACKBONE.py in the current folder)'
    )
    parser.add_argument('--checkpoint', metavar='PATH', help="the backbone's weights, such as its authors' file")
    parser.add_argument(
        '--drop-path', type=float, metavar='RATE', help='rate of stochastic depth (default: that of our recipe)'
    )
    parser.add_argument(
        '--keep-optimizer', action='store_true', help='leave the optimizer and its schedule as they are'
    )

    parser.add_argument(
        '--their-maps',
        nargs='+',
        type=_stride_and_width,
        metavar='STRIDE:WIDTH',
        help='maps of the old backbone, if it cannot be built here: 4:256 8:512 16:1024 32:2048',
    )
    parser.add_argument(
        '--set',
        nargs='+',
        action=DictAction,
        default={},
        metavar='KEY=VALUE',
        help='a width that cannot be worked out: model.neck.in_channels="[64,128]"',
    )
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        default=(512, 512),
        metavar=('H', 'W'),
        help='image size in pixels for which the cost is counted (default: 512 512)',
    )


def main(args: argparse.Namespace) -> None:
    old_path = find_config(args.config)
    out = Path(args.out or f'{old_path.stem}_{args.backbone}.py')
    if out.exists():
        raise UserError(f'{out} is there already; -o names another file')
    if not out.parent.is_dir():
        raise UserError(f'there is no folder {out.parent} to write {out.name} into')

    # Weights at an internet address come as an empty dict: they are not downloaded for a try.
    weights = check_checkpoint(args.checkpoint, '--checkpoint') if args.checkpoint else {}
    old = read_host_config(old_path)
    their_maps = None
    if args.their_maps:
        strides, widths = zip(*args.their_maps)
        their_maps = Maps(strides, widths)

    options = SwapOptions(
        checkpoint=args.checkpoint,
        drop_path_rate=args.drop_path,
        keep_optimizer=args.keep_optimizer,
        their_maps=their_maps,
        chosen_widths=args.set,
    )
    swap = swap_backbone(old, args.backbone, options)
    title = f'{old_path.stem} with {args.backbone} as its backbone.'
    out.write_text(render_config(_base_of(out, old_path), swap.changes, title))

    for path, before, after in swap.differences:
        print(f'{path}: {_shorten(before)} -> {_shorten(after)}')
    print('\n'.join(f'note: {note}' for note in swap.notes))

    new = read_host_config(out)
    try:
        model = run_smoke_test(new)
    except SwapError as error:
        raise UserError(f'{out} is written, but its model fails on a small image: {error}') from None

    if weights:
        try:
            unwrap_detector(model).backbone.init_weights()
        except CheckpointError:
            out.unlink()
            raise

    print('\n'.join(compare_costs(old, new, tuple(args.shape))))
    print(f'built, and run on a small image: {out}')
    obstacle = find_optimizer_error(model, new)
    if obstacle is not None:
        print(f'but it cannot be trained yet, because its optimizer cannot be built: {obstacle}')


def _stride_and_width(text: str) -> tuple[int, int]:
    stride, width = text.split(':')
    return int(stride), int(width)


def _base_of(out: Path, old: Path) -> str:
    # A config that was given by its absolute path may lie in another package.
    return str(old) if old.is_absolute() else os.path.relpath(old, out.parent)


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else f'{text[:LONGEST_VALUE]}...'
