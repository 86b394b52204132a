"""Segment or detect in images or a video: pictures with a legend, and label maps or a JSON file in COCO's format.

Example: lkdense predict upernet_slak_t_ade20k iter_160000.pth photos --out predicted
         lkdense predict cascade_mask_rcnn_slak_t_coco epoch_36.pth street.mp4 --out predicted --threshold 0.5
Writes pictures, or of a video another one, into OUT/pictures; of a segmentor label maps (indices of classes) into
OUT/labels, of a detector all detections into OUT/detections.json. Files that are there already are refused.
"""

import argparse
import json
from pathlib import Path

from mmengine.utils import track_iter_progress
from PIL import Image

from ..errors import UserError, first_line
from ..inference.drawing import draw, legend_width, magnify
from ..inference.media import DETECTIONS, LABELS, check_free, ensure_parent, open_source
from ..inference.predictor import Predictor, gives_labels
from ..inference.results import LabelMap, coco_results
from ._options import add_config_options, load_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_options(parser)
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='of the whole model')
    parser.add_argument(
        'source', metavar='SOURCE', type=Path, help='an image, a folder of images at any depth, or a video'
    )
    parser.add_argument('--out', type=Path, required=True, help='folder of what is written')
    parser.add_argument(
        '--threshold', type=float, default=0.3, help='the score from which on detections are drawn (default: 0.3)'
    )
    parser.add_argument(
        '--overwrite', action='store_true', help='write over files in OUT, as of a run before, but never SOURCE'
    )


def main(args: argparse.Namespace) -> None:
    source = open_source(args.source, args.out)
    cfg = load_config(args)
    if cfg.get('default_scope') not in ('mmseg', 'mmdet'):
        raise UserError(f'only what segmentors and detectors find can be drawn, and {args.config} has neither')

    labels = gives_labels(cfg)
    check_free(source, labels, args.overwrite)
    predictor = Predictor(cfg, args.checkpoint)
    room = legend_width(predictor.classes) if source.of_one_size else None
    results, images, problems = [], [], []

    for name, image in track_iter_progress((source, len(source))):
        if image is None:
            problems.append(f'{name} cannot be read as an image')
            continue

        try:
            found = predictor(image)
        except UserError:
            raise
        except Exception as error:  # what any model may raise for an image that is too small or too large for it
            problems.append(f'{name} cannot be predicted: {first_line(error)}')
            continue

        shown = found if isinstance(found, LabelMap) else found.above(args.threshold)
        source.save(name, draw(*magnify(image, shown), predictor.classes, predictor.palette, room))
        images.append(dict(id=len(images) + 1, file_name=name, height=image.shape[0], width=image.shape[1]))

        if isinstance(found, LabelMap):
            Image.fromarray(found.labels).save(ensure_parent(args.out / LABELS / source.output(name)))
        else:
            results += coco_results(found, images[-1]['id'])

    if images and not labels:
        categories = [dict(id=index, name=name) for index, name in enumerate(predictor.classes, start=1)]
        annotations = [dict(result, id=index, iscrowd=0) for index, result in enumerate(results, start=1)]
        content = dict(images=images, categories=categories, annotations=annotations)
        (args.out / DETECTIONS).write_text(json.dumps(content) + '\n')

    print(f'\n{len(images)} images predicted into {args.out}')
    for problem in problems:
        print(problem)

    if not images:
        raise UserError(f'SOURCE: nothing in {args.source} could be predicted')
