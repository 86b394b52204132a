"""What is wrong with a data set, told by reading all of it through a config's own classes and transforms."""

import copy
import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS, TRANSFORMS, DefaultScope
from PIL import Image

# classes that do not occur, which are named before the rest is only counted
ABSENT_SHOWN = 10
PHASES = ('train', 'val', 'test')
# what MMEngine says of an empty set
NO_SAMPLES = 'need at least one array to concatenate'
# the kinds of faults, in the order in which they are reported
FAULTS = {
    'set': 'the set cannot be read at all',
    'missing image': 'images that are not there',
    'unreadable image': 'images that cannot be read',
    'missing annotation': 'annotations that are not there',
    'unreadable annotation': 'annotations that cannot be read',
    'size': 'annotations of another size than their image',
    'label': 'labels that the config has no class for',
    'nothing labelled': 'images without any label or object',
    'degenerate box': 'boxes without extent, or less than a pixel wide or high',
    'box outside': 'boxes that reach out of their image',
    'degenerate outline': 'outlines of objects without extent, of less than three points, or missing',
    'duplicate': 'images that are there twice',
    'leak': 'images that are in two parts of the data',
    'pipeline': 'samples on which the transforms fail',
}


class Report:
    """What was found in one part of the data.

    Attributes:
        phase: ``train``, ``val`` or ``test``.
        samples: how many were read.
        faults: kind of fault, a key of ``FAULTS``, to a line for each case.
        classes: name of each class to how often it occurs: pixels in segmentation, boxes in
            detection, images in classification.
        known: the names of all classes.
    """

    def __init__(self, phase: str):
        self.phase = phase
        self.samples = 0
        self.faults: dict[str, list[str]] = defaultdict(list)
        self.classes: Counter[str] = Counter()
        self.known: Sequence[str] = ()
        self.hashes: dict[str, str] = {}

    def add(self, kind: str, path: object, detail: object = '') -> None:
        """Note a case of a fault."""
        self.faults[kind].append(f'{path}: {detail}' if detail != '' else str(path))

    def lines(self, cases: int = 3) -> Iterator[str]:
        """Tell what was found, each kind of fault with its number and the first cases."""
        yield f'{self.phase}: {self.samples} samples, {sum(map(len, self.faults.values()))} faults'
        for kind, title in FAULTS.items():
            if found := self.faults.get(kind):
                yield f'  {len(found)} {title}'
                yield from (f'    {case}' for case in found[:cases])
                if len(found) > cases:
                    yield f'    and {len(found) - cases} more'
        total = sum(self.classes.values())
        for name, count in self.classes.most_common():
            yield f'  {name:24} {count:12,} {count / max(total, 1):7.2%}'
        if absent := [name for name in self.known if name not in self.classes]:
            more = f' and {len(absent) - ABSENT_SHOWN} more' if len(absent) > ABSENT_SHOWN else ''
            yield f'  never: {", ".join(absent[:ABSENT_SHOWN])}{more}'


def check_data(cfg: Config) -> list[Report]:
    """Read every part of the data that a config names; whatever is wrong with it is in the reports, never raised."""
    reports = []
    for phase in PHASES:
        dataset = (cfg.get(f'{phase}_dataloader') or {}).get('dataset')
        if dataset and not any(cfg[f'{before.phase}_dataloader'].dataset == dataset for before in reports):
            report = Report(phase)
            with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
                _check(dataset, report)
            for before in reports:
                for digest in report.hashes.keys() & before.hashes.keys():
                    report.add('leak', report.hashes[digest], f'is {before.hashes[digest]} of {before.phase}')
            reports.append(report)
    return reports


def _check(config: dict, report: Report) -> None:
    # what filters samples out would hide what is wrong with them
    if 'filter_cfg' in config:
        config = {**config, 'filter_cfg': None}
    parts = config.get('datasets', [config])
    try:
        for part in parts:
            if 'sub_data_root' in (part.get('data_prefix') or {}):
                _check_xml_files(part, report)
        dataset = DATASETS.build(config)
        dataset.full_init()
    except Exception as error:  # of any class and any host
        reason = 'it has no samples' if NO_SAMPLES in str(error) else _one_line(error)
        report.add('set', ', '.join(dict.fromkeys(part.get('data_root') or '' for part in parts)), reason)
        return
    report.known = dataset.metainfo.get('classes') or ()
    for part in getattr(dataset, 'datasets', [dataset]):
        for index in range(len(part)):
            report.samples += 1
            info = part.get_data_info(index)
            try:
                _check_sample(part, info, report)
            except Exception as error:  # of a file that nobody thought of
                report.add('pipeline', info['img_path'], _one_line(error))
        if str(getattr(part, 'ann_file', '')).endswith('.json'):
            _check_coco_file(part, report)
        if hasattr(part, 'seg_map_suffix') and not Path(part.ann_file).is_file():
            _check_labels_without_image(part, report)


def _check_xml_files(config: dict, report: Report) -> None:
    """Look at VOC's annotations themselves: the first that cannot be read ends the reading, unknown names do not."""
    root, names = Path(config.get('data_root') or ''), config.get('ann_file') or ''
    if not (root / names).is_file():
        return
    known = {**_type(config).METAINFO, **config.get('metainfo', {})}.get('classes', ())
    folder = root / config['data_prefix']['sub_data_root'] / config.get('ann_subdir', 'Annotations')
    for name in (root / names).read_text().split():
        path = folder / f'{name}.xml'
        if not path.is_file():
            report.add('missing annotation', path)
            continue
        try:
            for found in ElementTree.parse(path).iterfind('object'):
                [float(found.find(f'bndbox/{side}').text) for side in ('xmin', 'ymin', 'xmax', 'ymax')]
                if found.find('name').text not in known:
                    report.add('label', path, f'an object is called {found.find("name").text}')
        except Exception as error:  # of what is no XML, or no box
            report.add('unreadable annotation', path, _one_line(error))


def _type(config: dict) -> type:
    with DATASETS.switch_scope_and_registry(None) as registry:
        return registry.get(config['type'])


def _check_labels_without_image(dataset: BaseDataset, report: Report) -> None:
    # mmsegmentation lists the images, so it does not miss one
    known = {Path(dataset.get_data_info(index)['seg_map_path']) for index in range(len(dataset))}
    for path in sorted(Path(dataset.data_prefix['seg_map_path']).rglob(f'*{dataset.seg_map_suffix}')):
        if path not in known:
            report.add('missing image', path, 'has no image')


def _check_sample(dataset: BaseDataset, info: dict, report: Report) -> None:
    path = info['img_path']
    if not _is_readable(path, 'image', report):
        return
    digest = hashlib.sha1(Path(path).read_bytes()).hexdigest()
    if digest in report.hashes:
        report.add('duplicate', path, f'is {report.hashes[digest]}')
    report.hashes.setdefault(digest, path)
    with Image.open(path) as image:
        size = image.size
    if 'seg_fields' in info:
        if not _is_readable(info['seg_map_path'], 'annotation', report):
            return
        _check_labels(dataset, info, size, report)
    elif 'label' in info:
        report.classes[dataset.metainfo['classes'][info['label']]] += 1
    else:
        _check_instances(dataset, info, size, report)
    try:
        dataset.pipeline(copy.deepcopy(info))
    except Exception as error:  # of any transform
        report.add('pipeline', path, _one_line(error))


def _is_readable(path: str | None, what: str, report: Report) -> bool:
    if not path or not Path(path).is_file():
        report.add(f'missing {what}', path)
        return False
    try:
        with Image.open(path) as image:
            image.load()
    except Exception as error:  # of any decoder
        report.add(f'unreadable {what}', path, _one_line(error))
        return False
    return True


def _check_labels(dataset: BaseDataset, info: dict, size: tuple[int, int], report: Report) -> None:
    # read by the config's own transform, with what it makes of label 0
    steps = [step for step in dataset.pipeline.transforms if type(step).__name__ == 'LoadAnnotations']
    labels = (steps or [TRANSFORMS.build(dict(type='LoadAnnotations'))])[0](copy.deepcopy(info))['gt_seg_map']
    if labels.ndim != 2:
        report.add('unreadable annotation', info['seg_map_path'], f'{labels.shape[2]} channels, not one of labels')
        return
    if labels.shape[::-1] != size:
        report.add('size', info['img_path'], f'{size[0]} x {size[1]}, labels {labels.shape[1]} x {labels.shape[0]}')
    names, ignored = dataset.metainfo.get('classes') or (), dataset.ignore_index
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


def _check_instances(dataset: BaseDataset, info: dict, size: tuple[int, int], report: Report) -> None:
    path, names = info['img_path'], dataset.metainfo['classes']
    if (info['width'], info['height']) != size:
        report.add('size', path, f'{size[0]} x {size[1]}, annotated as {info["width"]} x {info["height"]}')
    if not info['instances']:
        report.add('nothing labelled', path)
    for instance in info['instances']:
        report.classes[names[instance['bbox_label']]] += 1
        if 'xml_path' in info:
            left, top, right, bottom = instance['bbox']
            _check_box((left, top, right - left, bottom - top), size, path, report)


def _check_coco_file(dataset: BaseDataset, report: Report) -> None:
    """Look at the boxes themselves: mmdetection leaves out the worst as it reads them."""
    content = json.loads(Path(dataset.ann_file).read_text())
    images = {image['id']: image for image in content['images']}
    names = {category['id']: category['name'] for category in content['categories']}
    with_masks = any(getattr(step, 'with_mask', False) for step in dataset.pipeline.transforms)
    for annotation in content['annotations']:
        try:
            image, name = images.get(annotation['image_id']), names.get(annotation['category_id'])
            where = f'{dataset.ann_file}, annotation {annotation["id"]}'
            if image is None:
                report.add('missing image', where, 'no image of its image_id')
                continue
            path, size = image['file_name'], (image['width'], image['height'])
            if name not in dataset.metainfo['classes']:
                report.add('label', path, f'category {annotation["category_id"]} ({name})')
            _check_box(annotation['bbox'], size, path, report)
            if with_masks:
                _check_outline(annotation.get('segmentation') or [], size, path, report)
        except Exception as error:  # of an annotation that nobody thought of
            report.add('unreadable annotation', dataset.ann_file, f'{annotation}: {_one_line(error)}'[:300])


def _check_box(box: Sequence[float], size: tuple[int, int], path: str, report: Report) -> None:
    left, top, width, height = box
    text = f'{width:g} x {height:g} at {left:g}, {top:g}'
    # no comparison is true of NaN
    if not (width >= 1 and height >= 1 and left > -math.inf and top > -math.inf):
        report.add('degenerate box', path, text)
    elif left < -1 or top < -1 or left + width > size[0] + 1 or top + height > size[1] + 1:
        report.add('box outside', path, f'{text} in {size[0]} x {size[1]}')


def _check_outline(outline: dict | list, size: tuple[int, int], path: str, report: Report) -> None:
    """Look at COCO's polygons, which mmdetection leaves out without a word, or at the size of its encoded mask."""
    if isinstance(outline, dict):
        if tuple(outline['size'][::-1]) != size:
            text = f'a mask of {outline["size"][1]} x {outline["size"][0]}'
            report.add('size', path, f'annotated as {size[0]} x {size[1]}, {text}')
        return
    if not outline:
        report.add('degenerate outline', path, 'none')
    for polygon in outline:
        area = _area(polygon) if len(polygon) >= 6 and len(polygon) % 2 == 0 else 0.0
        # no comparison is true of NaN
        if not area > 0:
            report.add('degenerate outline', path, f'{len(polygon)} coordinates, area {area:g}')


def _area(polygon: Sequence[float]) -> float:
    xs, ys = np.array(polygon[::2], float), np.array(polygon[1::2], float)
    return abs((xs * np.roll(ys, -1) - ys * np.roll(xs, -1)).sum()) / 2


def _one_line(error: Exception) -> str:
    return f'{type(error).__name__}: {str(error).strip().split(chr(10))[0]}'
