"""Segment or detect in images or a video: pictures with a legend, and label maps or a JSON file in COCO's format.

Example: lkdense predict upernet_slak_t_ade20k iter_160000.pth photos --out predicted
         lkdense predict cascade_mask_rcnn_slak_t_coco epoch_36.pth street.mp4 --out predicted --threshold 0.5
Writes pictures into OUT/pictures, of a segmentor label maps (indices of classes) into OUT/labels, of a detector all
detections into OUT/detections.json.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
from mmengine.utils import track_iter_progress
from numpy.typing import NDArray
from PIL import Image

from .. import launch
from ..launch import LaunchError
from ..prediction import LabelMap, Predictor, coco_results, draw, magnified

IMAGES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')
VIDEOS = ('.mp4', '.avi', '.mov', '.mkv', '.webm')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    launch.add_config_options(parser)
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='of the whole model')
    parser.add_argument(
        'source', metavar='SOURCE', type=Path, help='an image, a folder of images at any depth, or a video'
    )
    parser.add_argument('--out', type=Path, required=True, help='folder of what is written')
    parser.add_argument(
        '--threshold', type=float, default=0.3, help='the score from which on detections are drawn; 0.3'
    )


def main(args: argparse.Namespace) -> None:
    count, frames = read(args.source)
    cfg = launch.load_config(args)
    predictor = Predictor(cfg, args.checkpoint)
    results, images, problems = [], [], []
    for name, image in track_iter_progress((frames, count)):
        if image is None:
            problems.append(name)
            continue
        found = predictor(image)
        save(found, image, predictor, args.out, name, args.threshold)
        if not isinstance(found, LabelMap):
            images.append(dict(id=len(images) + 1, file_name=name, height=image.shape[0], width=image.shape[1]))
            results += coco_results(found, images[-1]['id'])
    if images:
        categories = [dict(id=index, name=name) for index, name in enumerate(predictor.classes, start=1)]
        content = dict(images=images, categories=categories, annotations=results)
        (args.out / 'detections.json').write_text(json.dumps(content) + '\n')
    print(f'\n{count - len(problems)} images predicted into {args.out}')
    for name in problems:
        print(f'{name} cannot be read as an image')


def save(found, image: NDArray, predictor: Predictor, out: Path, name: str, threshold: float) -> None:
    path = out / 'pictures' / Path(name).with_suffix('.png')
    path.parent.mkdir(parents=True, exist_ok=True)
    shown = found if isinstance(found, LabelMap) else found.above(threshold)
    draw(*magnified(image, shown), predictor.classes, predictor.palette).save(path)
    if isinstance(found, LabelMap):
        path = out / 'labels' / Path(name).with_suffix('.png')
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(found.labels).save(path)


def read(source: Path) -> tuple[int, Iterator[tuple[str, NDArray | None]]]:
    """Return how many images there are, and their names and pixels in BGR; None for what is no image."""
    if source.suffix.lower() in VIDEOS and source.is_file():
        video = cv2.VideoCapture(str(source))
        count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        return count, ((f'{source.stem}_{index:06d}', video.read()[1]) for index in range(count))
    paths = [source] if source.is_file() else sorted(p for p in source.rglob('*') if p.suffix.lower() in IMAGES)
    if not paths:
        raise LaunchError(f'SOURCE: no image ({", ".join(IMAGES)}) or video ({", ".join(VIDEOS)}) at {source}')
    root = source.parent if source.is_file() else source
    return len(paths), ((str(path.relative_to(root)), cv2.imread(str(path))) for path in paths)
