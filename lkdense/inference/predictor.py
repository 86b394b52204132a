"""What a model says of an image, as label maps or instances, drawn over it, and in COCO's format."""

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DATASETS, DefaultScope
from mmengine.structures import BaseDataElement
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ..launch import LaunchError, leaves, type_of
from ..models import load_model

# of a pixel's colour, how much is that of its class
OPACITY = 0.5
LINE = 18  # pixels, of a line of the legend
LEGIBLE = 512  # pixels, of the longer side of an image on which names can be read
# what mmdetection adds to the class of a pixel, once for each object before it
OBJECT = 1000
NO_CLASS = 255


@dataclass(frozen=True)
class LabelMap:
    """A segmentation: ``labels`` ``[H, W]``, indices of classes, or 255."""

    labels: NDArray[np.uint8]


@dataclass(frozen=True)
class Instances:
    """Objects: detections, the surest first, or what was annotated.

    Attributes:
        boxes: ``[N, 4]``, left, top, right and bottom in pixels.
        scores: ``[N]``, or None of what was annotated.
        classes: ``[N]``, indices of classes.
        masks: ``[N, H, W]``, or None.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32] | None
    classes: NDArray[np.int64]
    masks: NDArray[np.bool_] | None

    def above(self, threshold: float) -> 'Instances':
        """Return those with a score of at least ``threshold``."""
        kept = self.scores >= threshold
        masks = None if self.masks is None else self.masks[kept]
        return Instances(self.boxes[kept], self.scores[kept], self.classes[kept], masks)


class Predictor:
    """A segmentor or detector that takes images as they come from a file.

    Args:
        cfg: of the model and its test data, whose transforms are applied.
        checkpoint: of the whole model.

    Raises:
        CheckpointError: the checkpoint is none, or does not fit.
        LaunchError: there is no test data, or its classes cannot be told.
    """

    def __init__(self, cfg: Config, checkpoint: str):
        dataset = first_test_set(cfg)
        self.scope, self.gives_labels = cfg.default_scope, gives_labels(cfg)
        with DefaultScope.overwrite_default_scope(self.scope):
            meta = metainfo(dataset)
            # images come loaded, and without annotations
            self.pipeline = Compose([step for step in dataset.pipeline if not type_of(step).startswith('Load')])
        self.classes = tuple(meta['classes'])
        self.palette = colours(len(self.classes), meta.get('palette'))
        device = 'cuda' if torch.cuda.is_available() else 'cpu'
        self.model = load_model(cfg, checkpoint).to(device)

    def __call__(self, image: NDArray[np.uint8]) -> LabelMap | Instances:
        """Return what the model says of an image ``[H, W, 3]`` in BGR."""
        return self.read(self.test(image))

    def batch(self, image: NDArray[np.uint8]) -> dict:
        """Return an image ``[H, W, 3]`` in BGR as a batch of the config's test data."""
        size = image.shape[:2]
        info = dict(img=image, img_path='', img_id=0, img_shape=size, ori_shape=size, seg_fields=[])
        with DefaultScope.overwrite_default_scope(self.scope):
            sample = self.pipeline(info)
        return dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']])

    def test(self, image: NDArray[np.uint8]) -> BaseDataElement:
        """Return all that the model says of an image ``[H, W, 3]`` in BGR, as mmseg and mmdet keep it."""
        batch = self.batch(image)
        with DefaultScope.overwrite_default_scope(self.scope), torch.no_grad():
            return self.model.test_step(batch)[0]

    def read(self, found: BaseDataElement) -> LabelMap | Instances:
        """Return the prediction in what :meth:`test` gave.

        Raises:
            LaunchError: the model gives something else, such as depths.
        """
        field = 'pred_instances'
        if self.gives_labels:
            field = 'pred_sem_seg' if self.scope == 'mmseg' else 'pred_panoptic_seg'
        if field not in found:
            given = ', '.join(key for key in found.all_keys() if key.startswith('pred_')) or 'nothing'
            raise LaunchError(f'a {type(self.model).__name__} predicts {given}, and only {field} can be drawn')
        if field == 'pred_sem_seg':
            return LabelMap(found.pred_sem_seg.data[0].cpu().numpy().astype(np.uint8))
        if field == 'pred_panoptic_seg':
            labels = found.pred_panoptic_seg.sem_seg[0].cpu().numpy() % OBJECT
            return LabelMap(np.where(labels < len(self.classes), labels, NO_CLASS).astype(np.uint8))
        instances = found.pred_instances.cpu().numpy()
        return Instances(instances.bboxes, instances.scores, instances.labels, instances.get('masks'))


class ClassPredictor:
    """A classifier that takes images as they come from a file; its classes have the names that its test data gives.

    Args:
        cfg: of the model and its test data, which must be there.
        checkpoint: of the whole model.

    Raises:
        CheckpointError: the checkpoint is none, or does not fit.
        LaunchError: there is no test data.
    """

    def __init__(self, cfg: Config, checkpoint: str):
        dataset = first_test_set(cfg)
        self.classes = tuple(DATASETS.build({**dataset, 'pipeline': []}).metainfo['classes'])
        self.pipeline = Compose([step for step in dataset.pipeline if type_of(step) != 'LoadImage'])
        self.device = 'cuda' if torch.cuda.is_available() else 'cpu'
        self.model = load_model(cfg, checkpoint).to(self.device)

    def __call__(self, image: NDArray[np.uint8]) -> int:
        """Return the class of an image ``[H, W, 3]`` in BGR."""
        inputs = self.pipeline(dict(img=Image.fromarray(image[..., ::-1].copy()), label=0))['inputs']
        with torch.no_grad():
            return int(self.model(inputs[None].to(self.device)).argmax())


def first_test_set(cfg: Config) -> dict:
    """Return the test data of a config, the first of several sets: all have the classes and transforms of the model.

    Raises:
        LaunchError: there is none, or it has no transforms.
    """
    dataset = next(leaves((cfg.get('test_dataloader') or {}).get('dataset')), {})
    if not dataset.get('pipeline'):
        raise LaunchError(f'there is no test_dataloader.dataset with a pipeline in {cfg.filename}')
    return dataset


def metainfo(dataset: dict) -> dict:
    """Return the classes, and what else a data set of the present scope says of itself, without its files.

    Raises:
        LaunchError: it is of no known type, or has no classes.
    """
    with DATASETS.switch_scope_and_registry(None) as registry:
        try:
            kind = registry.get(dataset.type)
        except RuntimeError:
            kind = None
    # names in a file too, as MMEngine reads them
    if not hasattr(kind, '_load_metainfo'):
        raise LaunchError(f'test_dataloader.dataset: {dataset.type} is no data set that MMEngine knows')
    found = kind._load_metainfo(dataset.get('metainfo'))
    classes = found.get('classes')
    if not classes or isinstance(classes, str):
        raise LaunchError(
            f'test_dataloader.dataset, {dataset.type}: classes must be names or a file of names, got {classes!r}'
        )
    return found


def gives_labels(cfg: Config) -> bool:
    """Whether the model of a config says of each pixel what it is, rather than where objects are."""
    if cfg.default_scope == 'mmseg':
        return True
    # of models that give both, objects say more
    finds_objects = (cfg.model.get('test_cfg') or {}).get('instance_on', False)
    return 'panoptic_fusion_head' in cfg.model and not finds_objects


def colours(count: int, given: Sequence[Sequence[int]] | None = None) -> list[tuple[int, int, int]]:
    """Return a colour in RGB for each class: those of the data set, or ones around the circle of hues."""
    if given and len(given) >= count:
        return [tuple(colour) for colour in given[:count]]
    # steps of the golden ratio keep neighbours apart
    hues = [(index * 0.618) % 1 for index in range(count)]
    return [tuple(round(255 * value) for value in colorsys.hsv_to_rgb(hue, 0.75, 0.95)) for hue in hues]


def magnified(
    image: NDArray[np.uint8], found: LabelMap | Instances | int
) -> tuple[NDArray[np.uint8], LabelMap | Instances | int]:
    """Return a small image, and what was found in it, so many times larger that names have room; a class stays."""
    zoom = -(-LEGIBLE // max(image.shape[:2]))
    if zoom == 1:
        return image, found

    def enlarged(pixels: NDArray, axes: tuple[int, int] = (0, 1)) -> NDArray:
        return pixels.repeat(zoom, axes[0]).repeat(zoom, axes[1])

    if isinstance(found, int):
        return enlarged(image), found
    if isinstance(found, LabelMap):
        return enlarged(image), LabelMap(enlarged(found.labels))
    masks = None if found.masks is None else enlarged(found.masks, (1, 2))
    return enlarged(image), Instances(found.boxes * zoom, found.scores, found.classes, masks)


def draw(
    image: NDArray[np.uint8],
    found: LabelMap | Instances,
    classes: Sequence[str],
    palette: Sequence[Sequence[int]],
    room: int | None = None,
) -> Image.Image:
    """Return an image ``[H, W, 3]`` in BGR with what was found over it, and a legend of the classes that occur.

    Args:
        image: any.
        found: in it.
        classes: their names.
        palette: their colours in RGB.
        room: pixels for the legend, where pictures must be of one size; by default what it takes.
    """
    picture = np.ascontiguousarray(image[..., ::-1])
    if isinstance(found, LabelMap):
        present = np.unique(found.labels)
        present = present[present < len(classes)]
        known = found.labels < len(classes)
        table = np.array([*palette, (0, 0, 0)], np.float32)[np.minimum(found.labels, len(classes))]
        picture[known] = ((1 - OPACITY) * picture + OPACITY * table)[known]
        return with_legend(Image.fromarray(picture), [(classes[i], palette[i]) for i in present], room)
    for mask, label in zip(found.masks if found.masks is not None else (), found.classes):
        picture[mask] = (1 - OPACITY) * picture[mask] + OPACITY * np.array(palette[label])
        # outlines keep objects of one class apart
        outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, outlines, -1, tuple(map(int, palette[label])), 1)
    canvas = Image.fromarray(picture)
    pen = ImageDraw.Draw(canvas)
    texts = [classes[label] for label in found.classes]
    if found.scores is not None:
        texts = [f'{text} {score:.2f}' for text, score in zip(texts, found.scores)]
    # the surest last, on top
    for box, text, label in reversed(list(zip(found.boxes, texts, found.classes))):
        pen.rectangle(box.tolist(), outline=tuple(palette[label]), width=2 if found.masks is None else 1)
        _write(pen, box[:2], text, palette[label], canvas.width)
    present = sorted(set(found.classes.tolist()))
    return with_legend(canvas, [(classes[i], palette[i]) for i in present], room)


def coco_results(found: Instances, image_id: int) -> list[dict]:
    """Return detections in COCO's format of results; categories are numbered from 1 in the order of the classes."""
    masks = found.masks if found.masks is not None else [None] * len(found.boxes)
    results = []
    for box, score, label, mask in zip(found.boxes.tolist(), found.scores.tolist(), found.classes.tolist(), masks):
        left, top, right, bottom = box
        width, height = right - left, bottom - top
        result = dict(image_id=image_id, category_id=label + 1, bbox=[left, top, width, height], score=score)
        result['area'] = width * height if mask is None else float(mask.sum())
        if mask is not None:
            result['segmentation'] = _run_lengths(mask)
        results.append(result)
    return results


def _run_lengths(mask: NDArray[np.bool_]) -> dict:
    from pycocotools import mask as coding

    coded = coding.encode(np.asfortranarray(mask.astype(np.uint8)))
    return dict(size=coded['size'], counts=coded['counts'].decode())


def legend_room(classes: Sequence[str]) -> int:
    """Return how many pixels wide a legend of these classes is."""
    font = ImageFont.load_default(13)
    return max([round(font.getlength(name)) + 2 * LINE for name in classes], default=0)


def with_legend(
    image: Image.Image, entries: Sequence[tuple[str, Sequence[int]]], room: int | None = None
) -> Image.Image:
    """Return ``image`` with names and their colours to the right of it; see :func:`draw`."""
    font = ImageFont.load_default(13)
    size = image.width + legend_room([name for name, _ in entries]), max(image.height, LINE * len(entries))
    whole = Image.new('RGB', size if room is None else (image.width + room, image.height), 'white')
    whole.paste(image, (0, 0))
    pen = ImageDraw.Draw(whole)
    for row, (name, colour) in enumerate(entries):
        left, top = image.width + 4, row * LINE + 3
        pen.rectangle((left, top, left + LINE - 8, top + LINE - 7), fill=tuple(colour), outline='black')
        pen.text((left + LINE - 2, top - 2), name, 'black', font)
    return whole


def _write(pen: ImageDraw.ImageDraw, corner: NDArray, text: str, colour: Sequence[int], image_width: int) -> None:
    font = ImageFont.load_default(13)
    *_, right, bottom = pen.textbbox((0, 0), text, font)
    # above the corner of its box, but inside the image
    x, y = (max(min(corner[0], image_width - right - 2), 0), max(corner[1] - bottom - 2, 0))
    pen.rectangle((x, y, x + right + 2, y + bottom + 2), fill=tuple(colour))
    is_light = np.dot(colour, (0.299, 0.587, 0.114)) > 140
    pen.text((x + 1, y), text, 'black' if is_light else 'white', font)
