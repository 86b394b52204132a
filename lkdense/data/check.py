"""Find what is wrong with a data set, by reading all of it through a config's own classes and transforms."""

import copy
import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS, TRANSFORMS, DefaultScope
from PIL import ExifTags, Image, UnidentifiedImageError

from ..config import leaf_datasets
from ..errors import first_line
from .check_boxes import check_coco_file, check_instances, check_xml_files
from .check_report import Report

PHASES = ('train', 'val', 'test')
# A set of sets has this many samples drawn through it, after each of the sets inside has been read.
DRAWN = 16
# MMEngine's message for an empty set contains this.
NO_SAMPLES = 'need at least one array to concatenate'


def check_data(cfg: Config) -> list[Report]:
    """Read every part of the data that a config names and return a report for each: faults are never raised.

    >>> from tempfile import TemporaryDirectory
    >>> from lkdense.data.synthetic import write_scenes
    >>> with TemporaryDirectory() as root:
    ...     synthetic = write_scenes('imagenet', root, images=5, size=64)
    ...     dataset = dict(type='lkdense.classification.ImageFolder', data_root=f'{synthetic.folder}/train')
    ...     reports = check_data(Config(dict(train_dataloader=dict(dataset=dataset))))
    >>> [(report.phase, report.samples, dict(report.faults)) for report in reports]
    [('train', 4, {})]
    """
    datasets = {}
    for phase in PHASES:
        datasets[phase] = (cfg.get(f'{phase}_dataloader') or {}).get('dataset')
    # Most configs test on the validation data, which need not be read twice.
    if datasets['test'] == datasets['val']:
        del datasets['test']

    reports, training_hashes = [], {}
    for phase, dataset in datasets.items():
        if not dataset:
            continue

        report = Report(phase)
        with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
            _check_phase(dataset, report)

        if phase == 'train':
            training_hashes = report.hashes
        else:
            _check_leaks(training_hashes, report)
        reports.append(report)

    return reports


def _check_phase(config: dict, report: Report) -> None:
    """Check each set inside once, however often it is repeated, then the samples drawn through the sets around it."""
    parts = _distinct(leaf_datasets(config))
    for part in parts:
        _check_set(part, report)

    if parts != [config] and 'set' not in report.faults:
        _check_drawn_samples(config, report)


def _check_leaks(training_hashes: dict[str, str], report: Report) -> None:
    for digest, path in report.hashes.items():
        if digest in training_hashes:
            report.add('leak', path, f'is {training_hashes[digest]} of train')


def _distinct(parts: Iterator[dict]) -> list[dict]:
    """Return the configs that name different files."""
    distinct, known_files = [], []
    for part in parts:
        # Sets that differ only in their transforms read the same files.
        files = {key: value for key, value in part.items() if key != 'pipeline'}
        if files not in known_files:
            known_files.append(files)
            distinct.append(part)

    return distinct


def _check_set(config: dict, report: Report) -> None:
    # A filter would leave out samples and hide what is wrong with them.
    if 'filter_cfg' in config:
        config = {**config, 'filter_cfg': None}
    is_xml = 'sub_data_root' in (config.get('data_prefix') or {})

    try:
        dataset = DATASETS.build({**config, 'lazy_init': True} if is_xml else config)
        names = dataset.metainfo.get('classes')
        if isinstance(names, str):
            raise ValueError(f'classes must be names, or a file of them that is there, got {names!r}')
        if is_xml:
            check_xml_files(dataset, report)
        dataset.full_init()
    except Exception as error:  # Each class of data set, of any package, fails in its own way.
        report.add('set', config.get('data_root') or '', _reason(error))
        return

    report.known = list(dict.fromkeys([*report.known, *(dataset.metainfo.get('classes') or ())]))
    for index in range(len(dataset)):
        report.samples += 1
        info = dataset.get_data_info(index)
        try:
            _check_sample(dataset, info, report)
        except Exception as error:  # A file may be broken in a way that nobody has thought of.
            report.add('pipeline', info['img_path'], error)

    if hasattr(dataset, 'COCOAPI'):
        check_coco_file(dataset, report)
    if dataset.data_prefix.get('seg_map_path') and not Path(dataset.ann_file).is_file():
        _check_labels_without_image(dataset, report)


def _check_drawn_samples(config: dict, report: Report) -> None:
    """Draw samples as a training does, because sets of sets mix images and have transforms of their own."""
    try:
        dataset = DATASETS.build(config)
        dataset.full_init()
    except Exception as error:  # Each class of data set, of any package, fails in its own way.
        report.add('set', config['type'], _reason(error))
        return

    count = min(len(dataset), DRAWN)
    for index in np.linspace(0, len(dataset) - 1, count, dtype=int).tolist():
        try:
            dataset[index]
        except Exception as error:  # A transform may raise anything.
            report.add('pipeline', f'{config["type"]}, sample {index}', error)


def _check_labels_without_image(dataset: BaseDataset, report: Report) -> None:
    # mmsegmentation lists the images of a folder, so it does not notice a label map whose image is missing.
    images, labels = Path(dataset.data_prefix['img_path']), Path(dataset.data_prefix['seg_map_path'])
    for path in sorted(labels.rglob(f'*{dataset.seg_map_suffix}')):
        name = str(path.relative_to(labels)).removesuffix(dataset.seg_map_suffix)
        if not (images / f'{name}{dataset.img_suffix}').is_file():
            report.add('missing image', path, 'has no image')


def _check_sample(dataset: BaseDataset, info: dict, report: Report) -> None:
    path, load_image = info['img_path'], _loader(dataset, 'Image')
    if not _is_readable(path, 'image', info, load_image, report):
        return

    digest = hashlib.sha1(Path(path).read_bytes()).hexdigest()
    if digest in report.hashes:
        report.add('duplicate', path, f'is {report.hashes[digest]}')
    report.hashes.setdefault(digest, path)

    if 'label' in info:
        report.classes[dataset.metainfo['classes'][info['label']]] += 1
    elif _has_labels(dataset, info):
        is_map = info.get('seg_map_path') and ('seg_fields' in info or 'segments_info' in info)
        load_labels = _loader(dataset, 'Annotation')
        if is_map and not _is_readable(info['seg_map_path'], 'annotation', info, load_labels, report):
            return

        size = _size(path, info, load_image)
        if 'instances' in info:
            check_instances(dataset, info, size, report)
        elif is_map:
            _check_labels(dataset, info, size, report)

    try:
        dataset.pipeline(copy.deepcopy(info))
    except Exception as error:  # A transform may raise anything.
        report.add('pipeline', path, error)


def _loader(dataset: BaseDataset, what: str) -> Callable[[dict], dict] | None:
    """Return the config's own transform that loads images or annotations, as it knows what a training gets."""
    for step in dataset.pipeline.transforms:
        name = type(step).__name__
        if name.startswith('Load') and what in name:
            return step

    return None


def _has_labels(dataset: BaseDataset, info: dict) -> bool:
    # Images to predict on, or to learn from without labels, have none.
    loader = type(_loader(dataset, 'Annotation')).__name__
    are_there = bool(info.get('instances')) or Path(info.get('seg_map_path') or '').is_file()
    return 'Empty' not in loader and ('Annotation' in loader or are_there)


def _is_readable(path: str | None, what: str, info: dict, load: Callable | None, report: Report) -> bool:
    if not path or not Path(path).is_file():
        report.add(f'missing {what}', path)
        return False

    try:
        with Image.open(path) as image:
            image.load()
    except Exception as error:  # A decoder may raise anything.
        # Pillow reports files that are cut off, which OpenCV does not, but it does not know every format: arrays, say.
        if not (isinstance(error, UnidentifiedImageError) and load and _loads(load, info)):
            report.add(f'unreadable {what}', path, error)
            return False

    return True


def _loads(load: Callable, info: dict) -> bool:
    try:
        return load(copy.deepcopy(info)) is not None
    except Exception:  # A decoder may raise anything.
        return False


def _size(path: str, info: dict, load: Callable | None) -> tuple[int, int]:
    """Return width and height as a training gets them: OpenCV turns an image as its camera has noted."""
    with suppress(UnidentifiedImageError), Image.open(path) as image:
        if load is None or image.getexif().get(ExifTags.Base.Orientation, 1) == 1:
            return image.size

    return load(copy.deepcopy(info))['img'].shape[1::-1]


def _check_labels(dataset: BaseDataset, info: dict, size: tuple[int, int], report: Report) -> None:
    # The config's own transform decides what becomes of label 0.
    load = _loader(dataset, 'Annotation') or TRANSFORMS.build(dict(type='LoadAnnotations'))
    labels = load(copy.deepcopy(info))['gt_seg_map']
    if labels.ndim != 2:
        report.add('unreadable annotation', info['seg_map_path'], f'{labels.shape[2]} channels, not one of labels')
        return
    if labels.shape[::-1] != size:
        report.add('size', info['img_path'], f'{size[0]} x {size[1]}, labels {labels.shape[1]} x {labels.shape[0]}')

    names = dataset.metainfo.get('classes') or ()
    ignored = getattr(dataset, 'ignore_index', 255)
    is_labelled = False
    values, counts = np.unique(labels, return_counts=True)
    for value, count in zip(values.tolist(), counts.tolist()):
        if value < len(names):
            report.classes[names[value]] += count
            is_labelled = True
        elif value != ignored:
            known = f'{len(names)} classes, and {ignored} is ignored'
            report.add('label', info['seg_map_path'], f'{value} on {count} pixels, but there are {known}')

    if not is_labelled:
        report.add('nothing labelled', info['seg_map_path'])


def _reason(error: Exception) -> str:
    return 'it has no samples' if NO_SAMPLES in str(error) else first_line(error)
