"""Measure the effective receptive field of one or more backbones, and draw them side by side.

Example: lkdense erf configs/upernet_slak_b_ade20k.py SLaK_base.pth --images data/ade/images --size 1024
         lkdense erf configs/upernet_convnext_t_ade20k.py --and configs/upernet_slak_t_ade20k.py --images photos
Without a checkpoint the weights are random. Writes erf.png, and erf.csv with the area for each share of contribution.
"""

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import cv2
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .. import launch
from ..analysis import area_ratios, compute_erf, plot_erf
from ..checkpoint_file import trust_checkpoints
from ..launch import LaunchError
from ..loading import load_model

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('config', help='a config of mmsegmentation or mmdetection; its backbone is measured')
    parser.add_argument('checkpoint', nargs='?', help="the model's or the authors' weights; random ones without it")
    parser.add_argument(
        '--and',
        dest='others',
        nargs='+',
        action='append',
        default=[],
        metavar=('CONFIG', 'CHECKPOINT'),
        help='another model, with or without weights; may be repeated',
    )
    parser.add_argument('--images', type=Path, required=True, help='folder of images, at any depth')
    parser.add_argument('--count', type=int, default=50, help='how many of them, in the order of their names')
    parser.add_argument('--size', type=int, default=1024, help='side in pixels that images are resized to')
    parser.add_argument('--stage', type=int, default=4, choices=(1, 2, 3, 4), help='whose map is looked at')
    parser.add_argument('--signed', action='store_true', help='count what lowers the map too')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/erf'), help='folder of what is written')
    launch.add_trust_option(parser)


def main(args: argparse.Namespace) -> None:
    if args.trust_checkpoint:
        trust_checkpoints()
    paths = sorted(path for path in args.images.rglob('*') if path.suffix.lower() in SUFFIXES)[: args.count]
    if not paths:
        raise LaunchError(f'--images: no image ({", ".join(SUFFIXES)}) below {args.images}')
    found = {}
    for config, checkpoint in ((args.config, args.checkpoint), *map(one_or_two, args.others)):
        backbone, normalization = build(config, checkpoint)
        name = Path(config).stem + (f', {Path(checkpoint).stem}' if checkpoint else ', random weights')
        images = read(paths, args.size, **normalization)
        found[name] = compute_erf(backbone, images, output=args.stage - 1, signed=args.signed)
        for area in area_ratios(found[name]):
            print(
                f'{name}: {area.threshold:.0%} of the contribution in {area.side} pixels, {area.ratio:.1%} of the area'
            )
    write(found, args.out)


def one_or_two(words: list[str]) -> tuple[str, str | None]:
    if len(words) > 2:
        raise LaunchError(f'--and takes a config and at most one checkpoint, got {" ".join(words)}')
    return words[0], words[1] if len(words) == 2 else None


def build(config: str, checkpoint: str | None) -> tuple[nn.Module, dict]:
    """Return the backbone of a config, and the arguments of :func:`read` for it."""
    cfg = launch.read_config(config)
    model = load_model(cfg, checkpoint)
    preprocessor = cfg.model.data_preprocessor
    return model.backbone, {key: preprocessor[key] for key in ('mean', 'std', 'bgr_to_rgb')}


def read(paths: list[Path], size: int, mean: list, std: list, bgr_to_rgb: bool) -> Iterator[Tensor]:
    for path in paths:
        image = cv2.imread(str(path))
        if image is None:
            raise LaunchError(f'{path} cannot be read as an image')
        image = torch.from_numpy(cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)).float()
        image = image.flip(-1) if bgr_to_rgb else image
        yield ((image - torch.tensor(mean)) / torch.tensor(std)).permute(2, 0, 1)[None]


def write(found: dict[str, NDArray], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    plot_erf(found).savefig(folder / 'erf.png', dpi=110)
    with (folder / 'erf.csv').open('w', newline='') as file:
        table = csv.writer(file)
        table.writerow(('model', 'share of contribution', 'side in pixels', 'share of area'))
        table.writerows((name, *area) for name, contribution in found.items() for area in area_ratios(contribution))
    print(f'{folder / "erf.png"}, {folder / "erf.csv"}')
