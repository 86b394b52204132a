"""What is wrong with a data set, told by reading all of it through a config's own classes and transforms."""

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
# samples of a set of sets, which are drawn through it after all of the sets inside have been read
DRAWN = 16
# what MMEngine says of an empty set
NO_SAMPLES = 'need at least one array to concatenate'


def check_data(cfg: Config) -> list[Report]:
    """Read every part of the data that a config names; whatever is wrong with it is in the reports, never raised."""
    sets = {phase: (cfg.get(f'{phase}_dataloader') or {}).get('dataset') for phase in PHASES}
    # mostly the same
    if sets['test'] == sets['val']:
        del sets['test']

    reports, trained = [], {}
    for phase, dataset in sets.items():
        if not dataset:
            continue

        report = Report(phase)
        with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
            _check(dataset, report)

        if phase == 'train':
            trained = report.hashes
        else:
            for digest, path in report.hashes.items():
                if digest in trained:
                    report.add('leak', path, f'is {trained[digest]} of train')

        reports.append(report)

    return reports


def _check(config: dict, report: Report) -> None:
    """Look at every set inside once, however often it is repeated, and at what is drawn through those around it."""
    parts = list(_distinct(leaf_datasets(config)))
    for part in parts:
        _check_set(part, report)
    if parts != [config] and 'set' not in report.faults:
        _check_drawn(config, report)


def _distinct(parts: Iterator[dict]) -> Iterator[dict]:
    seen = []
    for part in parts:
        # with other transforms, the files are still the same
        files = {key: value for key, value in part.items() if key != 'pipeline'}
        if files not in seen:
            seen.append(files)
            yield part


def _check_set(config: dict, report: Report) -> None:
    # what filters samples out would hide what is wrong with them
    if 'filter_cfg' in config:
        config = {**config, 'filter_cfg': None}

    is_xml = 'sub_data_root' in (config.get('data_prefix') or {})
    try:
        dataset = DATASETS.build({**config, 'lazy_init': True} if is_xml else config)
        if isinstance(names := dataset.metainfo.get('classes'), str):
            raise ValueError(f'classes must be names, or a file of them that is there, got {names!r}')
        if is_xml:
            check_xml_files(dataset, report)
        dataset.full_init()
    except Exception as error:  # of any class and any host
        report.add('set', config.get('data_root') or '', _reason(error))
        return

    report.known = list(dict.fromkeys([*report.known, *(dataset.metainfo.get('classes') or ())]))
    for index in range(len(dataset)):
        report.samples += 1
        info = dataset.get_data_info(index)
        try:
            _check_sample(dataset, info, report)
        except Exception as error:  # of a file that nobody thought of
            report.add('pipeline', info['img_path'], error)

    if hasattr(dataset, 'COCOAPI'):
        check_coco_file(dataset, report)
    if dataset.data_prefix.get('seg_map_path') and not Path(dataset.ann_file).is_file():
        _check_labels_without_image(dataset, report)


def _check_drawn(config: dict, report: Report) -> None:
    """Draw samples as a training does: sets of sets mix images, and have transforms of their own."""
    try:
        dataset = DATASETS.build(config)
        dataset.full_init()
    except Exception as error:  # of any class and any host
        report.add('set', config['type'], _reason(error))
        return

    for index in np.linspace(0, len(dataset) - 1, min(len(dataset), DRAWN), dtype=int).tolist():
        try:
            dataset[index]
        except Exception as error:  # of any transform
            report.add('pipeline', f'{config["type"]}, sample {index}', error)


def _check_labels_without_image(dataset: BaseDataset, report: Report) -> None:
    # mmsegmentation lists the images, so it does not miss one
    images, labels = (Path(dataset.data_prefix[key]) for key in ('img_path', 'seg_map_path'))
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
    except Exception as error:  # of any transform
        report.add('pipeline', path, error)


def _loader(dataset: BaseDataset, what: str) -> Callable[[dict], dict] | None:
    """Return the config's own transform that loads images or annotations, which knows what a training gets."""
    steps = ((type(step).__name__, step) for step in dataset.pipeline.transforms)
    return next((step for name, step in steps if name.startswith('Load') and what in name), None)


def _has_labels(dataset: BaseDataset, info: dict) -> bool:
    # images to predict on, or to learn from without labels, have none
    load = type(_loader(dataset, 'Annotation')).__name__
    is_there = bool(info.get('instances')) or Path(info.get('seg_map_path') or '').is_file()
    return 'Empty' not in load and ('Annotation' in load or is_there)


def _is_readable(path: str | None, what: str, info: dict, load: Callable | None, report: Report) -> bool:
    if not path or not Path(path).is_file():
        report.add(f'missing {what}', path)
        return False

    try:
        with Image.open(path) as image:
            image.load()
    except Exception as error:  # of any decoder
        # Pillow does not know every format, such as arrays, and tells what is cut off, where OpenCV does not
        if not (isinstance(error, UnidentifiedImageError) and load and _loads(load, info)):
            report.add(f'unreadable {what}', path, error)
            return False

    return True


def _loads(load: Callable, info: dict) -> bool:
    try:
        return load(copy.deepcopy(info)) is not None
    except Exception:  # of any decoder
        return False


def _size(path: str, info: dict, load: Callable | None) -> tuple[int, int]:
    """Return width and height as a training gets them: OpenCV turns the image as a camera has noted."""
    with suppress(UnidentifiedImageError), Image.open(path) as image:
        if load is None or image.getexif().get(ExifTags.Base.Orientation, 1) == 1:
            return image.size
    return load(copy.deepcopy(info))['img'].shape[1::-1]


def _check_labels(dataset: BaseDataset, info: dict, size: tuple[int, int], report: Report) -> None:
    # read by the config's own transform, with what it makes of label 0
    load = _loader(dataset, 'Annotation') or TRANSFORMS.build(dict(type='LoadAnnotations'))
    labels = load(copy.deepcopy(info))['gt_seg_map']
    if labels.ndim != 2:
        report.add('unreadable annotation', info['seg_map_path'], f'{labels.shape[2]} channels, not one of labels')
        return
    if labels.shape[::-1] != size:
        report.add('size', info['img_path'], f'{size[0]} x {size[1]}, labels {labels.shape[1]} x {labels.shape[0]}')

    names, ignored = dataset.metainfo.get('classes') or (), getattr(dataset, 'ignore_index', 255)
    labelled = False

    for value, count in zip(*(found.tolist() for found in np.unique(labels, return_counts=True))):
        if value < len(names):
            report.classes[names[value]] += count
            labelled = True
        elif value != ignored:
            known = f'{len(names)} classes, and {ignored} is ignored'
            report.add('label', info['seg_map_path'], f'{value} on {count} pixels, but there are {known}')

    if not labelled:
        report.add('nothing labelled', info['seg_map_path'])


def _reason(error: Exception) -> str:
    return 'it has no samples' if NO_SAMPLES in str(error) else first_line(error)
