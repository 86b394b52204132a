"""Load a trained model and ask it about images: label maps or instances, or the class of a whole image."""

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

# In a panoptic map, mmdetection adds a multiple of this to the class of a pixel: the number of its object.
OBJECT = 1000
NO_CLASS = 255


class Predictor:
    """A segmentor or detector that takes images as they come from a file.

    Args:
        cfg: the config of the model and its test data, whose transforms are applied.
        checkpoint: a checkpoint of the whole model.

    Raises:
        CheckpointError: the file is no checkpoint, or does not fit.
        UserError: there is no test data, or its classes are not known.

    Attributes:
        classes: the names of the classes.
        palette: a colour in RGB for each class.
        predicts_label_map: whether predictions are label maps rather than instances.
        model: the model, in eval mode.
    """

    def __init__(self, cfg: Config, checkpoint: str):
        dataset = first_test_set(cfg)
        self.scope = cfg.default_scope
        self.predicts_label_map = predicts_label_map(cfg)

        with DefaultScope.overwrite_default_scope(self.scope):
            meta = metainfo(dataset)
            # Images come loaded and without annotations, so nothing is loaded here.
            self.pipeline = Compose([step for step in dataset.pipeline if not type_of(step).startswith('Load')])
        self.classes = tuple(meta['classes'])
        self.palette = class_colors(len(self.classes), meta.get('palette'))

        device = 'cuda' if torch.cuda.is_available() else 'cpu'
        self.model = load_model(cfg, checkpoint).to(device)

    def __call__(self, image: NDArray[np.uint8]) -> LabelMap | Instances:
        """Return what the model predicts for an image ``[H, W, 3]`` in BGR."""
        return self.read(self.test(image))

    def batch(self, image: NDArray[np.uint8]) -> dict:
        """Return an image ``[H, W, 3]`` in BGR as a batch of the config's test data."""
        size = image.shape[:2]
        info = dict(img=image, img_path='', img_id=0, img_shape=size, ori_shape=size, seg_fields=[])
        with DefaultScope.overwrite_default_scope(self.scope):
            sample = self.pipeline(info)

        return dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']])

    def test(self, image: NDArray[np.uint8]) -> BaseDataElement:
        """Return everything the model predicts for an image ``[H, W, 3]`` in BGR, as a sample of mmseg or mmdet."""
        batch = self.batch(image)
        with DefaultScope.overwrite_default_scope(self.scope), torch.no_grad():
            return self.model.test_step(batch)[0]

    def read(self, sample: BaseDataElement) -> LabelMap | Instances:
        """Return the prediction in a sample from :meth:`test`.

        Raises:
            UserError: the model predicts something else, such as depths.
        """
        field = 'pred_instances'
        if self.predicts_label_map:
            field = 'pred_sem_seg' if self.scope == 'mmseg' else 'pred_panoptic_seg'
        if field not in sample:
            predictions = ', '.join(key for key in sample.all_keys() if key.startswith('pred_')) or 'nothing'
            raise UserError(f'a {type(self.model).__name__} predicts {predictions}, and only {field} can be drawn')

        if field == 'pred_sem_seg':
            return LabelMap(sample.pred_sem_seg.data[0].cpu().numpy().astype(np.uint8))
        if field == 'pred_panoptic_seg':
            labels = sample.pred_panoptic_seg.sem_seg[0].cpu().numpy() % OBJECT
            return LabelMap(np.where(labels < len(self.classes), labels, NO_CLASS).astype(np.uint8))

        instances = sample.pred_instances.cpu().numpy()
        return Instances(instances.bboxes, instances.scores, instances.labels, instances.get('masks'))


class ClassPredictor:
    """A classifier that takes images as they come from a file; the names of its classes come from its test data.

    Args:
        cfg: the config of the model and its test data, which must be there.
        checkpoint: a checkpoint of the whole model.

    Raises:
        CheckpointError: the file is no checkpoint, or does not fit.
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
        rgb = Image.fromarray(image[..., ::-1].copy())
        inputs = self.pipeline(dict(img=rgb, label=0))['inputs']
        with torch.no_grad():
            return int(self.model(inputs[None].to(self.device)).argmax())


def predicts_label_map(cfg: Config) -> bool:
    """Return whether the model of a config predicts the class of each pixel, rather than objects.

    >>> predicts_label_map(Config(dict(default_scope='mmseg')))
    True
    >>> predicts_label_map(Config(dict(default_scope='mmdet', model=dict(type='FasterRCNN'))))
    False
    """
    if cfg.default_scope == 'mmseg':
        return True

    # Where a model predicts both, its objects hold more information.
    predicts_instances = (cfg.model.get('test_cfg') or {}).get('instance_on', False)
    return 'panoptic_fusion_head' in cfg.model and not predicts_instances


def first_test_set(cfg: Config) -> dict:
    """Return the config of the test data, the first of several sets, as all have the model's classes and transforms.

    Raises:
        UserError: there is none, or it has no transforms.

    >>> dataset = dict(type='ADE20KDataset', pipeline=[dict(type='PackSegInputs')])
    >>> first_test_set(Config(dict(test_dataloader=dict(dataset=dict(type='RepeatDataset', dataset=dataset))))).type
    'ADE20KDataset'
    """
    dataset = next(leaf_datasets((cfg.get('test_dataloader') or {}).get('dataset')), {})
    if not dataset.get('pipeline'):
        raise UserError(f'there is no test_dataloader.dataset with a pipeline in {cfg.filename}')

    return dataset


def metainfo(dataset: dict) -> dict:
    """Return the classes, and whatever else the metainfo of a data set of the current scope holds, without its files.

    Raises:
        UserError: its type is unknown, or it has no classes.
    """
    with DATASETS.switch_scope_and_registry(None) as registry:
        try:
            dataset_class = registry.get(dataset.type)
        except RuntimeError:
            dataset_class = None
    if not hasattr(dataset_class, '_load_metainfo'):
        raise UserError(f'test_dataloader.dataset: {dataset.type} is no data set that MMEngine knows')

    # MMEngine's own function also reads class names from a file.
    meta = dataset_class._load_metainfo(dataset.get('metainfo'))
    classes = meta.get('classes')
    if not classes or isinstance(classes, str):
        raise UserError(
            f'test_dataloader.dataset, {dataset.type}: classes must be names or a file of names, got {classes!r}'
        )

    return meta
