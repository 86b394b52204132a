"""Find what is wrong with a detection set: boxes, outlines and class names, as its annotation files have them."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from mmengine.dataset import BaseDataset

from ..errors import first_line
from .check_report import Report


def check_instances(dataset: BaseDataset, info: dict, size: tuple[int, int], report: Report) -> None:
    """Check the objects of one image; from COCO's files, mmdetection has already left out the worst ones."""
    path, names = info['img_path'], dataset.metainfo['classes']
    annotated = info.get('width', size[0]), info.get('height', size[1])
    if annotated != size:
        report.add('size', path, f'{size[0]} x {size[1]}, annotated as {annotated[0]} x {annotated[1]}')

    for instance in info['instances']:
        if 'xml_path' in info:
            left, top, right, bottom = instance['bbox']
            _check_box((left, top, right - left, bottom - top), size, path, report)

    # A panoptic set has segments, for objects and for everything else.
    labels = [segment['category'] for segment in info.get('segments_info', ())]
    labels = labels or [instance['bbox_label'] for instance in info['instances']]
    report.classes.update(names[label] for label in labels)
    if not labels:
        report.add('nothing labelled', path)


def check_xml_files(dataset: BaseDataset, report: Report) -> None:
    """Check VOC's annotation files themselves: reading the set stops at a broken file, and skips unknown names."""
    if not Path(dataset.ann_file).is_file():
        return

    folder = Path(dataset.sub_data_root, dataset.ann_subdir)
    for name in Path(dataset.ann_file).read_text().split():
        path = folder / f'{name}.xml'
        if not path.is_file():
            report.add('missing annotation', path)
            continue

        try:
            for element in ElementTree.parse(path).iterfind('object'):
                for side in ('xmin', 'ymin', 'xmax', 'ymax'):
                    float(element.find(f'bndbox/{side}').text)

                class_name = element.find('name').text
                if class_name not in dataset.metainfo['classes']:
                    report.add('label', path, f'an object is called {class_name}')
        except Exception as error:  # The file may be no XML, and a box may be anything.
            report.add('unreadable annotation', path, error)


def check_coco_file(dataset: BaseDataset, report: Report) -> None:
    """Check the boxes in the file itself, as mmdetection leaves out the worst ones when it reads them."""
    content = json.loads(Path(dataset.ann_file).read_text())
    images = {image['id']: image for image in content['images']}
    names = {category['id']: category['name'] for category in content['categories']}
    # The config's `indices` may leave out images.
    used = {dataset.get_data_info(index)['img_id'] for index in range(len(dataset))}
    with_masks = any(getattr(step, 'with_mask', False) for step in dataset.pipeline.transforms)

    for annotation in _annotations(content):
        try:
            image, name = images.get(annotation['image_id']), names.get(annotation['category_id'])
            place = f'{dataset.ann_file}, annotation {annotation["id"]}'
            if image is None:
                report.add('missing image', place, 'no image of its image_id')
                continue
            if image['id'] not in used:
                continue

            # LVIS has addresses in place of file names.
            path = image.get('file_name') or image['coco_url']
            size = image['width'], image['height']
            if name not in dataset.metainfo['classes']:
                report.add('label', path, f'category {annotation["category_id"]} ({name})')

            _check_box(annotation['bbox'], size, path, report)
            if with_masks and 'segments_info' not in content['annotations'][0]:
                _check_outline(annotation.get('segmentation') or [], size, path, report)
        except Exception as error:  # An annotation may be broken in a way that nobody has thought of.
            report.add('unreadable annotation', dataset.ann_file, f'{annotation}: {first_line(error)}'[:300])


def _annotations(content: dict) -> Iterator[dict]:
    # A panoptic file keeps all segments of an image together.
    for annotation in content.get('annotations', ()):
        for part in annotation.get('segments_info', [annotation]):
            yield {'image_id': annotation['image_id'], **part}


def _check_box(box: Sequence[float], size: tuple[int, int], path: str, report: Report) -> None:
    left, top, width, height = box
    text = f'{width:g} x {height:g} at {left:g}, {top:g}'
    # NaN fails every comparison, so the test is for what is right, and then turned around.
    if not (width >= 1 and height >= 1 and left > -math.inf and top > -math.inf):
        report.add('degenerate box', path, text)
    elif left < -1 or top < -1 or left + width > size[0] + 1 or top + height > size[1] + 1:
        report.add('box outside', path, f'{text} in {size[0]} x {size[1]}')


def _check_outline(outline: dict | list, size: tuple[int, int], path: str, report: Report) -> None:
    """Check COCO's polygons, which mmdetection leaves out silently if broken, or the size of an encoded mask."""
    if isinstance(outline, dict):
        if tuple(outline['size'][::-1]) != size:
            text = f'a mask of {outline["size"][1]} x {outline["size"][0]}'
            report.add('size', path, f'annotated as {size[0]} x {size[1]}, {text}')
        return

    if not outline:
        report.add('degenerate outline', path, 'none')

    for polygon in outline:
        area = _area(polygon) if len(polygon) >= 6 and len(polygon) % 2 == 0 else 0.0
        # NaN fails every comparison, so the test is for what is right, and then turned around.
        if not area > 0:
            report.add('degenerate outline', path, f'{len(polygon)} coordinates, area {area:g}')


def _area(polygon: Sequence[float]) -> float:
    xs, ys = np.array(polygon[::2], float), np.array(polygon[1::2], float)
    return abs((xs * np.roll(ys, -1) - ys * np.roll(xs, -1)).sum()) / 2
