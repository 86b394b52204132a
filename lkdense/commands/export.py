"""Export a segmentor, or the merged backbone of any model, as an ONNX graph, and compare it with PyTorch.

Example: lkdense export upernet_slak_t_ade20k iter_160000.pth slak_t.onnx --size 512 512
         lkdense export cascade_mask_rcnn_slak_t_coco epoch_36.pth backbone.onnx --backbone
The graph takes any number of images, normalized as the config's data_preprocessor does; a backbone's takes any size in
multiples of 32, a segmentor's the size that it was exported for. A segmentor gives the scores of all classes.
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

import torch

from ..backbones import StagedBackbone
from ..errors import UserError
from ..inference.onnx_export import TOLERANCE, Scores, export_onnx, onnx_difference
from ..models import load_model
from ._options import add_config_options, load_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_options(parser)
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='of the whole model, or of its backbone alone')
    parser.add_argument('out', metavar='OUT', type=Path, help='the .onnx file to write')
    parser.add_argument('--backbone', action='store_true', help='only the backbone, with its maps as outputs')
    parser.add_argument(
        '--size', type=int, nargs=2, default=(512, 512), metavar=('H', 'W'), help='in pixels (default: 512 512)'
    )


def main(args: argparse.Namespace) -> None:
    for package in ('onnx', 'onnxscript', 'onnxruntime'):
        if not find_spec(package):
            raise UserError(f"{package} is not installed: pip install 'lkdense[onnx]'")

    if any(side <= 0 or side % 32 for side in args.size):
        raise UserError(f'--size must be multiples of 32, got {args.size[0]} {args.size[1]}')

    cfg = load_config(args)
    if not args.backbone and cfg.default_scope != 'mmseg':
        raise UserError('only segmentors are exported whole; --backbone exports the backbone of any model')

    model = load_model(cfg, args.checkpoint)
    if isinstance(model.backbone, StagedBackbone):
        model.backbone.switch_to_deploy()

    module = (model.backbone if args.backbone else Scores(model)).eval()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    export_onnx(module, args.out, args.size, dynamic_size=args.backbone)
    generator = torch.Generator().manual_seed(0)
    difference = onnx_difference(module, args.out, torch.randn(1, 3, *args.size, generator=generator))

    if difference > TOLERANCE:
        raise UserError(f'{args.out} gives other numbers than PyTorch: {difference:.1e} of the largest value')

    print(f'{args.out}: onnxruntime differs from PyTorch by {difference:.1e} of the largest value')
    normalization = {key: cfg.model.data_preprocessor.get(key) for key in ('mean', 'std', 'bgr_to_rgb')}
    # only what dynamic_size leaves open
    size = 'H, W' if args.backbone else ', '.join(map(str, args.size))
    any_size = ', H and W in multiples of 32' if args.backbone else ''
    print(f'input: image [N, 3, {size}], any N{any_size}, normalized with {normalization}')
