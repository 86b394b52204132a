"""What a data loader feeds: images after augmentation with the labels that go with them, in the order of a training."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ..inference.drawing import add_legend, class_colors, draw, magnify
from ..inference.results import Instances, LabelMap
from ..training.iteration_seed import SeededBatches

GAP = 8  # pixels between the image as it lies on disk and what was made of it


@dataclass(frozen=True)
class Fed:
    """One image of a batch.

    Attributes:
        path: of its file.
        batch: the number of the iteration that gets it, from 0.
        image: ``[H, W, 3]`` in BGR.
        truth: its labels or objects; of a classifier the index of its class.
    """

    path: str
    batch: int
    image: NDArray[np.uint8]
    truth: LabelMap | Instances | int


class Feed:
    """The images that a config's data loader feeds, through its own sampler and transforms.

    Of the training data they are those that a training on one process with the config's seed and ``IterationSeedHook``
    gets, one batch after the other; the model's own padding, normalization and mixing come later.

    Args:
        cfg: of a segmentor, a detector or a classifier.
        phase: ``train``, ``val`` or ``test``.
    """

    def __init__(self, cfg: Config, phase: str):
        loader = {**cfg[f'{phase}_dataloader'], 'num_workers': 0, 'persistent_workers': False}
        self.seed = cfg.get('randomness', {}).get('seed') or 0
        self.scope = cfg.get('default_scope', 'mmengine')
        with DefaultScope.overwrite_default_scope(self.scope):
            self.loader = Runner.build_dataloader(loader, seed=self.seed)
        meta = self.loader.dataset.metainfo
        self.classes = tuple(meta['classes'])
        self.palette = class_colors(len(self.classes), meta.get('palette'))

    def __iter__(self) -> Iterator[Fed]:
        dataset = self.loader.dataset
        batches = SeededBatches(dataset, self.seed, rank=0)

        for number, indices in enumerate(self.loader.batch_sampler):
            with DefaultScope.overwrite_default_scope(self.scope):
                samples = batches(indices)
            for index, sample in zip(indices, samples):
                described = sample.get('data_samples')
                path = described.img_path if described else dataset.get_data_info(index)['img_path']
                image = _pixels(sample['inputs'].numpy(), dataset)
                yield Fed(path, number, image, _truth(sample, image.shape[:2], dataset))

    def picture(self, fed: Fed) -> Image.Image:
        """Return the image as it lies on disk, and beside it what is fed, with its labels and a legend."""
        image, truth = magnify(fed.image, fed.truth)
        if isinstance(truth, int):
            drawn = add_legend(Image.fromarray(image[..., ::-1]), [(self.classes[truth], self.palette[truth])])
        else:
            drawn = draw(image, truth, self.classes, self.palette)

        height = image.shape[0]
        with Image.open(fed.path) as file:
            # turned as OpenCV turns it
            raw = ImageOps.exif_transpose(file).convert('RGB')

        raw = raw.resize((round(raw.width * height / raw.height), height))
        both = Image.new('RGB', (raw.width + GAP + drawn.width, drawn.height), 'white')
        both.paste(raw, (0, 0))
        both.paste(drawn, (raw.width + GAP, 0))

        return both


def file_name(fed: Fed, position: int) -> str:
    """Return a name that sorts in the order of the feed."""
    return f'{position:04d}_batch{fed.batch}_{Path(fed.path).stem}.png'


def _pixels(inputs: NDArray, dataset: BaseDataset) -> NDArray[np.uint8]:
    """Return ``[3, H, W]`` of a sample as an image ``[H, W, 3]`` in BGR, as OpenCV reads it until it is normalized."""
    image = inputs.transpose(1, 2, 0)
    norm = next((step for step in _steps(dataset) if hasattr(step, 'mean') and hasattr(step, 'std')), None)
    if norm is not None:
        image = image * np.ravel(norm.std) + np.ravel(norm.mean)
        if getattr(norm, 'to_rgb', True):
            image = image[..., ::-1]
    return np.ascontiguousarray(image).clip(0, 255).round().astype(np.uint8)


def _truth(sample: dict, size: tuple[int, int], dataset: BaseDataset) -> LabelMap | Instances | int:
    if 'label' in sample:
        return int(sample['label'])

    described = sample['data_samples']
    is_panoptic = any(type(step).__name__ == 'LoadPanopticAnnotations' for step in _steps(dataset))
    # a map beside objects is of other classes than they, except in a panoptic set, where it has them all
    if 'gt_sem_seg' in described and (is_panoptic or 'bboxes' not in described.get('gt_instances', ())):
        # each host has its own name for the only field
        (labels,) = described.gt_sem_seg.values()
        labels = labels[0].numpy().astype(np.uint8)
        return LabelMap(cv2.resize(labels, size[::-1], interpolation=cv2.INTER_NEAREST))

    found = described.gt_instances
    boxes = getattr(found.bboxes, 'tensor', found.bboxes).numpy()
    masks = found.masks.to_ndarray() if 'masks' in found else None

    if _annotated_after_resizing(dataset):
        height, width = described.ori_shape[:2]
        boxes = boxes * np.array([size[1] / width, size[0] / height] * 2, np.float32)
    if masks is not None:
        masks = [cv2.resize(mask.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST) for mask in masks]
        masks = np.array(masks, bool).reshape(-1, *size)

    return Instances(boxes, None, found.labels.numpy(), masks)


def _annotated_after_resizing(dataset: BaseDataset) -> bool:
    """Whether labels stay at the size of the file, as they do where the metric wants them so."""
    names = [type(step).__name__ for step in _steps(dataset)]
    loaded = names.index('LoadAnnotations') if 'LoadAnnotations' in names else 0
    return any('Resize' in name for name in names[:loaded])


def _steps(dataset: BaseDataset) -> list:
    # sets of sets keep transforms inside, and those that mix have more of their own
    inside = getattr(dataset, 'dataset', None) or getattr(dataset, 'datasets', [None])[0]
    own = getattr(dataset, 'pipeline', ())
    return [*(_steps(inside) if inside is not None else ()), *getattr(own, 'transforms', own)]
