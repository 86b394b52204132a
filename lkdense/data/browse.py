"""Preview what a data loader gives to a model: images after augmentation, with their labels, in training order."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ..inference.drawing import add_legend, class_colors, draw, magnify
from ..inference.results import Instances, LabelMap
from ..training.iteration_seed import SeededBatches

GAP = 8  # pixels between the file's image and the augmented one


@dataclass(frozen=True)
class PreviewSample:
    """One image of a batch.

    Attributes:
        path: its file.
        batch: the number of the iteration that gets it, from 0.
        image: ``[H, W, 3]`` in BGR, after augmentation.
        truth: its label map or objects; for a classifier the index of its class.
    """

    path: str
    batch: int
    image: NDArray[np.uint8]
    truth: LabelMap | Instances | int


class LoaderPreview:
    """The samples that a config's data loader gives to the model, through its own sampler and transforms.

    For the training data they are those that a training on one process with the config's seed and
    ``IterationSeedHook`` gets, one batch after the other. The model's own padding, normalization and mixing come later.

    Args:
        cfg: the config of a segmentor, a detector or a classifier.
        phase: ``train``, ``val`` or ``test``.

    >>> from tempfile import TemporaryDirectory
    >>> from lkdense.data.synthetic import write_scenes
    >>> pipeline = [dict(type=f'lkdense.classification.{name}') for name in ('LoadImage', 'RandomFlip', 'Normalize')]
    >>> with TemporaryDirectory() as root:
    ...     synthetic = write_scenes('imagenet', root, images=5, size=64)
    ...     dataset = dict(
    ...         type='lkdense.classification.ImageFolder', data_root=f'{synthetic.folder}/train', pipeline=pipeline
    ...     )
    ...     loader = dict(batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler'), dataset=dataset)
    ...     samples = list(LoaderPreview(Config(dict(train_dataloader=loader)), 'train'))
    >>> [(sample.batch, sample.image.shape) for sample in samples]
    [(0, (64, 64, 3)), (0, (64, 64, 3)), (1, (64, 64, 3)), (1, (64, 64, 3))]
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

    def __iter__(self) -> Iterator[PreviewSample]:
        dataset = self.loader.dataset
        batches = SeededBatches(dataset, self.seed, rank=0)

        for number, indices in enumerate(self.loader.batch_sampler):
            with DefaultScope.overwrite_default_scope(self.scope):
                samples = batches(indices)

            for index, sample in zip(indices, samples):
                described = sample.get('data_samples')
                path = described.img_path if described else dataset.get_data_info(index)['img_path']
                image = _bgr_image(sample['inputs'].numpy(), dataset)
                yield PreviewSample(path, number, image, _truth(sample, image.shape[:2], dataset))

    def picture(self, sample: PreviewSample) -> Image.Image:
        """Return the image of the file, and beside it the sample with its labels and a legend."""
        image, truth = magnify(sample.image, sample.truth)
        if isinstance(truth, int):
            drawn = add_legend(Image.fromarray(image[..., ::-1]), [(self.classes[truth], self.palette[truth])])
        else:
            drawn = draw(image, truth, self.classes, self.palette)

        height = image.shape[0]
        with Image.open(sample.path) as file:
            # OpenCV, which loads the sample, turns an image as its camera has noted; Pillow does so only when asked.
            original = ImageOps.exif_transpose(file).convert('RGB')
        original = original.resize((round(original.width * height / original.height), height))

        both = Image.new('RGB', (original.width + GAP + drawn.width, drawn.height), 'white')
        both.paste(original, (0, 0))
        both.paste(drawn, (original.width + GAP, 0))
        return both


def file_name(sample: PreviewSample, position: int) -> str:
    """Return a file name for the picture of a sample; names sort in the order of the loader.

    >>> image = np.zeros((4, 4, 3), np.uint8)
    >>> file_name(PreviewSample('photos/cat.jpg', batch=2, image=image, truth=0), position=7)
    '0007_batch2_cat.png'
    """
    return f'{position:04d}_batch{sample.batch}_{Path(sample.path).stem}.png'


def _bgr_image(inputs: NDArray, dataset: BaseDataset) -> NDArray[np.uint8]:
    """Return the pixels ``[3, H, W]`` of a sample as an image ``[H, W, 3]`` in BGR, with any normalization undone."""
    image = inputs.transpose(1, 2, 0)

    # OpenCV reads BGR, which stays until a transform normalizes it.
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
    has_boxes = 'bboxes' in described.get('gt_instances', ())
    is_panoptic = any(type(step).__name__ == 'LoadPanopticAnnotations' for step in _steps(dataset))
    # A label map beside objects has other classes than the objects, except in a panoptic set, where it has all classes.
    if 'gt_sem_seg' in described and (is_panoptic or not has_boxes):
        # mmseg and mmdet have different names for the only field.
        (labels,) = described.gt_sem_seg.values()
        labels = labels[0].numpy().astype(np.uint8)
        return LabelMap(cv2.resize(labels, size[::-1], interpolation=cv2.INTER_NEAREST))

    return _instances(described, size, dataset)


def _instances(described: BaseDataElement, size: tuple[int, int], dataset: BaseDataset) -> Instances:
    annotations = described.gt_instances
    boxes = getattr(annotations.bboxes, 'tensor', annotations.bboxes).numpy()
    if _annotated_after_resizing(dataset):
        height, width = described.ori_shape[:2]
        boxes = boxes * np.array([size[1] / width, size[0] / height] * 2, np.float32)

    masks = None
    if 'masks' in annotations:
        masks = annotations.masks.to_ndarray().astype(np.uint8)
        masks = [cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST) for mask in masks]
        masks = np.array(masks, bool).reshape(-1, *size)

    return Instances(boxes, None, annotations.labels.numpy(), masks)


def _annotated_after_resizing(dataset: BaseDataset) -> bool:
    """Return whether labels stay at the size of the file, as they do where the metric wants them so."""
    names = [type(step).__name__ for step in _steps(dataset)]
    loaded = names.index('LoadAnnotations') if 'LoadAnnotations' in names else 0
    return any('Resize' in name for name in names[:loaded])


def _steps(dataset: BaseDataset) -> list:
    """Return the transforms of a data set; a set of sets keeps some inside, and one that mixes images adds its own."""
    inside = getattr(dataset, 'dataset', None) or getattr(dataset, 'datasets', [None])[0]
    inner_steps = _steps(inside) if inside is not None else []

    own = getattr(dataset, 'pipeline', ())
    return [*inner_steps, *getattr(own, 'transforms', own)]
