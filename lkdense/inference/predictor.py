"""What a model says of an image, as label maps or instances, drawn over it, and in COCO's format."""

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DATASETS, DefaultScope
from mmengine.structures import BaseDataElement
from numpy.typing import NDArray
from PIL import Image

from ..config import leaf_datasets, type_of
from ..errors import UserError
from ..models import load_model
from .drawing import class_colors
from .results import Instances, LabelMap

# what mmdetection adds to the class of a pixel, once for each object before it
OBJECT = 1000
NO_CLASS = 255


class Predictor:
    """A segmentor or detector that takes images as they come from a file.

    Args:
        cfg: of the model and its test data, whose transforms are applied.
        checkpoint: of the whole model.

    Raises:
        CheckpointError: the checkpoint is none, or does not fit.
        UserError: there is no test data, or its classes cannot be told.
    """

    def __init__(self, cfg: Config, checkpoint: str):
        dataset = first_test_set(cfg)
        self.scope, self.gives_labels = cfg.default_scope, gives_labels(cfg)
        with DefaultScope.overwrite_default_scope(self.scope):
            meta = metainfo(dataset)
            # images come loaded, and without annotations
            self.pipeline = Compose([step for step in dataset.pipeline if not type_of(step).startswith('Load')])
        self.classes = tuple(meta['classes'])
        self.palette = class_colors(len(self.classes), meta.get('palette'))
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
            UserError: the model gives something else, such as depths.
        """
        field = 'pred_instances'
        if self.gives_labels:
            field = 'pred_sem_seg' if self.scope == 'mmseg' else 'pred_panoptic_seg'
        if field not in found:
            given = ', '.join(key for key in found.all_keys() if key.startswith('pred_')) or 'nothing'
            raise UserError(f'a {type(self.model).__name__} predicts {given}, and only {field} can be drawn')
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
        UserError: there is no test data.
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
        UserError: there is none, or it has no transforms.
    """
    dataset = next(leaf_datasets((cfg.get('test_dataloader') or {}).get('dataset')), {})
    if not dataset.get('pipeline'):
        raise UserError(f'there is no test_dataloader.dataset with a pipeline in {cfg.filename}')
    return dataset


def metainfo(dataset: dict) -> dict:
    """Return the classes, and what else a data set of the present scope says of itself, without its files.

    Raises:
        UserError: it is of no known type, or has no classes.
    """
    with DATASETS.switch_scope_and_registry(None) as registry:
        try:
            kind = registry.get(dataset.type)
        except RuntimeError:
            kind = None

    # names in a file too, as MMEngine reads them
    if not hasattr(kind, '_load_metainfo'):
        raise UserError(f'test_dataloader.dataset: {dataset.type} is no data set that MMEngine knows')

    found = kind._load_metainfo(dataset.get('metainfo'))
    classes = found.get('classes')
    if not classes or isinstance(classes, str):
        raise UserError(
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
