"""Segment or detect in images or a video: pictures with a legend, and label maps or a JSON file in COCO's format.

Example: lkdense predict upernet_slak_t_ade20k iter_160000.pth photos --out predicted
         lkdense predict cascade_mask_rcnn_slak_t_coco epoch_36.pth street.mp4 --out predicted --threshold 0.5
OUT/pictures gets a picture of each image, or one video of all frames of a video. A segmentor also writes label maps
(indices of classes) into OUT/labels, a detector all its detections into OUT/detections.json. Existing files stop the
command before it begins, unless --overwrite is given.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from mmengine.utils import track_iter_progress
from numpy.typing import NDArray
from PIL import Image

from ..errors import UserError, first_line
from ..inference.drawing import draw, magnify, measure_legend
from ..inference.media import (
    DETECTIONS,
    LABELS,
    ImageSource,
    VideoSource,
    check_free,
    ensure_parent,
    open_source,
)
from ..inference.predictor import Predictor, predicts_label_map
from ..inference.results import Instances, LabelMap, coco_results
from ._options import add_config_options, load_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_options(parser)
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='a checkpoint of the whole model')
    parser.add_argument(
        'source', metavar='SOURCE', type=Path, help='an image, a folder of images at any depth, or a video'
    )
    parser.add_argument('--out', type=Path, required=True, help='folder to write to')
    parser.add_argument(
        '--threshold', type=float, default=0.3, help='draw detections with at least this score (default: 0.3)'
    )
    parser.add_argument(
        '--overwrite', action='store_true', help='replace existing files in OUT, but never those of SOURCE'
    )


def main(args: argparse.Namespace) -> None:
    source = open_source(args.source, args.out)
    cfg = load_config(args)
    if cfg.get('default_scope') not in ('mmseg', 'mmdet'):
        raise UserError(f'predict draws segmentations and detections, but {args.config} is a config for neither')
    check_free(source, predicts_label_map(cfg), args.overwrite)

    predictor = Predictor(cfg, args.checkpoint)
    writer = PredictionWriter(source, predictor, args.threshold)

    failures = []
    for name, image in track_iter_progress((source, len(source))):
        try:
            writer.add(name, image, predict_image(predictor, image))
        except CannotPredict as error:
            # One bad image must not stop a folder of thousands.
            failures.append(f'{name} {error}')
    writer.close()

    print(f'\n{len(writer.images)} images predicted into {args.out}')
    for failure in failures:
        print(failure)
    if not writer.images:
        raise UserError(f'SOURCE: nothing in {args.source} could be predicted')


class CannotPredict(Exception):
    """One image has no prediction; the message goes on from its name."""


def predict_image(predictor: Predictor, image: NDArray[np.uint8] | None) -> LabelMap | Instances:
    """Return the prediction for an image, or for None where the file is no image.

    Raises:
        CannotPredict: the file is no image, or the model fails on it.
        UserError: the model fails on all images.
    """
    if image is None:
        raise CannotPredict('cannot be read as an image')

    try:
        return predictor(image)
    except UserError:
        raise
    except Exception as error:
        # A model may raise anything for an image that is too small or too large for it.
        raise CannotPredict(f'cannot be predicted: {first_line(error)}') from error


class PredictionWriter:
    """Write the predictions for a source: pictures, and label maps or one file of detections.

    Args:
        source: what is predicted; it names the files.
        predictor: the model that predicts.
        threshold: the least score of a detection that is drawn; the file of detections has them all.
    """

    def __init__(self, source: ImageSource | VideoSource, predictor: Predictor, threshold: float):
        self.source, self.predictor, self.threshold = source, predictor, threshold
        self.images, self.results = [], []
        # The frames of a video have one size, so each has room for the names of all classes.
        self.legend_width = measure_legend(predictor.classes) if source.same_size else None

    def add(self, name: str, image: NDArray[np.uint8], prediction: LabelMap | Instances) -> None:
        """Write the picture and the label map of an image, or keep its detections for the end."""
        self._save_picture(name, image, prediction)

        height, width = image.shape[:2]
        image_id = len(self.images) + 1
        self.images.append(dict(id=image_id, file_name=name, height=height, width=width))
        if isinstance(prediction, LabelMap):
            path = self.source.out / LABELS / self.source.output_name(name)
            Image.fromarray(prediction.labels).save(ensure_parent(path))
        else:
            self.results += coco_results(prediction, image_id)

    def close(self) -> None:
        """Write the detections of all images."""
        if not self.images or self.predictor.predicts_label_map:
            return

        categories = [dict(id=index, name=name) for index, name in enumerate(self.predictor.classes, start=1)]
        annotations = [dict(result, id=index, iscrowd=0) for index, result in enumerate(self.results, start=1)]
        content = dict(images=self.images, categories=categories, annotations=annotations)
        (self.source.out / DETECTIONS).write_text(json.dumps(content) + '\n')

    def _save_picture(self, name: str, image: NDArray[np.uint8], prediction: LabelMap | Instances) -> None:
        if isinstance(prediction, Instances):
            prediction = prediction.above(self.threshold)

        image, prediction = magnify(image, prediction)
        picture = draw(image, prediction, self.predictor.classes, self.predictor.palette, self.legend_width)
        self.source.save(name, picture)
