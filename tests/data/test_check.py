"""Each kind of fault is reported for a broken copy of a small data set, and none for a whole one."""

import json
import shutil
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from PIL import ExifTags, Image

from lkdense.commands import main
from lkdense.config import read_config
from lkdense.data.check import check_data
from lkdense.data.check_boxes import check_coco_file
from lkdense.data.check_report import FAULTS, Report
from lkdense.data.synthetic import write_scenes

CONFIGS = {
    'ade20k': 'upernet_slak_pico_ade20k',
    'coco': 'cascade_mask_rcnn_slak_pico_coco',
    'voc2007': 'faster_rcnn_slak_pico_voc07',
    'imagenet': 'classifier_slak_pico_in1k',
}


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp('whole')
    # The config for VOC2007 trains on VOC2012 too.
    for layout in (*CONFIGS, 'voc2012'):
        write_scenes(layout, folder / 'data', images=8, size=64)
    return folder


@pytest.fixture
def check(whole, tmp_path, monkeypatch):
    """Break a copy of the data by a function of its folder, and return the faults of the training data."""
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)

    def check(layout, damage, phase='train'):
        damage(tmp_path / 'data')
        reports = {report.phase: report for report in check_data(read_config(CONFIGS[layout]))}
        assert set(reports[phase].faults) <= set(FAULTS)

        return dict(reports[phase].faults)

    return check


@pytest.mark.parametrize('layout', CONFIGS)
def test_a_whole_set_has_no_faults_and_its_classes_are_counted(layout, check, whole):
    assert check(layout, lambda data: None) == {}
    reports = check_data(read_config(CONFIGS[layout]))
    assert [report.phase for report in reports] in (['train', 'val'], ['train', 'val', 'test'])

    train = reports[0]
    assert train.samples >= 5 if layout == 'voc2007' else train.samples == 6
    assert sum(train.classes.values()) > 5
    assert set(train.classes) <= set(train.known)
    text = '\n'.join(train.lines())
    assert '0 faults' in text and '%' in text


IMAGES, LABELS = 'ade/ADEChallengeData2016/images/training', 'ade/ADEChallengeData2016/annotations/training'


def first(folder: Path) -> Path:
    return min(path for path in folder.iterdir() if path.is_file())


def relabel(path: Path, value: int) -> None:
    labels = np.array(Image.open(path))
    labels[:] = value
    Image.fromarray(labels).save(path)


SEGMENTATION = {
    'missing annotation': lambda data: first(data / LABELS).unlink(),
    'unreadable annotation': lambda data: first(data / LABELS).write_bytes(b'\x89PNG and no more'),
    'unreadable image': lambda data: first(data / IMAGES).write_bytes(first(data / IMAGES).read_bytes()[:300]),
    'size': lambda data: Image.open(first(data / LABELS)).resize((32, 32)).save(first(data / LABELS)),
    'label': lambda data: relabel(first(data / LABELS), 200),
    'nothing labelled': lambda data: relabel(first(data / LABELS), 0),
    'duplicate': lambda data: shutil.copy(first(data / IMAGES), sorted((data / IMAGES).iterdir())[1]),
    'missing image': lambda data: first(data / IMAGES).unlink(),
    'set': lambda data: shutil.rmtree(data / 'ade/ADEChallengeData2016/images'),
}


@pytest.mark.parametrize('kind', SEGMENTATION)
def test_faults_of_segmentation(kind, check):
    faults = check('ade20k', SEGMENTATION[kind])
    assert len(faults[kind]) == 1
    if kind == 'label':
        assert '199 on 4096 pixels, but there are 150 classes, and 255 is ignored' in faults[kind][0]
    if kind == 'size':
        assert '64 x 64, labels 32 x 32' in faults[kind][0]


def test_a_picture_is_no_label_map(check):
    def damage(data):
        Image.open(first(data / LABELS)).convert('RGB').save(first(data / LABELS))

    assert '3 channels' in check('ade20k', damage)['unreadable annotation'][0]


def test_an_image_in_two_parts_is_a_leak(check):
    def damage(data):
        training, validation = data / IMAGES, data / IMAGES.replace('training', 'validation')
        shutil.copy(first(training), first(validation))

    faults = check('ade20k', damage, phase='val')
    assert len(faults['leak']) == 1 and 'of train' in faults['leak'][0]


def annotate(**changes):
    """Change the first annotation of COCO's training file."""

    def damage(data):
        path = data / 'coco/annotations/instances_train2017.json'
        content = json.loads(path.read_text())
        content['annotations'][0].update(changes)
        path.write_text(json.dumps(content))

    return damage


def rewrite(data: Path, change) -> None:
    path = data / 'coco/annotations/instances_train2017.json'
    path.write_text(change(path.read_text()))


def shrink(data: Path) -> None:
    path = data / 'coco/annotations/instances_train2017.json'
    content = json.loads(path.read_text())
    content['images'][0]['width'] = 50
    path.write_text(json.dumps(content))


def first_two(data: Path) -> list[Path]:
    return sorted((data / 'coco/train2017').iterdir())[:2]


DETECTION = {
    'missing image': lambda data: first(data / 'coco/train2017').unlink(),
    'degenerate box': annotate(bbox=[10, 10, 0, 20]),
    'box outside': annotate(bbox=[50, 50, 40, 10]),
    'degenerate outline': annotate(segmentation=[[10, 10, 20, 20]]),
    'label': annotate(category_id=12345),
    'size': shrink,
    'unreadable image': lambda data: first(data / 'coco/train2017').write_bytes(b'no image'),
    'duplicate': lambda data: shutil.copy(*first_two(data)),
    'nothing labelled': lambda data: rewrite(data, lambda text: json.dumps({**json.loads(text), 'annotations': []})),
}


@pytest.mark.parametrize('kind', DETECTION)
def test_faults_of_detection(kind, check):
    assert len(check('coco', DETECTION[kind])[kind]) >= 1


BROKEN_JSON = {
    'empty file': (lambda text: '', 'JSONDecodeError'),
    'truncated': (lambda text: text[:500], 'JSONDecodeError'),
    'no dict': (lambda text: '[]', 'not supported'),
    'no lists': (lambda text: '{}', 'KeyError'),
    'empty lists': (lambda text: '{"images": [], "annotations": [], "categories": []}', 'it has no samples'),
    'no size': (lambda text: text.replace('"width"', '"breadth"'), 'width'),
    'words for numbers': (lambda text: text.replace('"bbox": [', '"bbox": ["left", '), 'Error'),
}


@pytest.mark.parametrize('kind', BROKEN_JSON)
def test_annotations_that_cannot_be_read(kind, check):
    change, message = BROKEN_JSON[kind]
    faults = check('coco', lambda data: rewrite(data, change))
    assert list(faults) == ['set'] and faults['set'][0].startswith('data/coco: ') and message in faults['set'][0]


@pytest.mark.parametrize('value', ['NaN', '-5', '0'])
def test_boxes_of_no_width(value, check):
    damage = annotate(bbox=[10, 10, float(value), 20])
    assert len(check('coco', damage)['degenerate box']) == 1


@pytest.mark.parametrize(
    ('outline', 'kind', 'words'),
    [
        ([[10, 10, 20, 20, 30, 30]], 'degenerate outline', '6 coordinates, area 0'),
        ([[10, 10, 20, 20, 30, 10, 40]], 'degenerate outline', '7 coordinates'),
        ([], 'degenerate outline', 'none'),
        (dict(size=[32, 64], counts=[32 * 64]), 'size', 'a mask of 64 x 32'),
        ([None], 'unreadable annotation', 'TypeError'),
    ],
)
def test_outlines(outline, kind, words, check):
    (fault,) = check('coco', annotate(segmentation=outline))[kind]
    assert words in fault


@pytest.mark.parametrize('layout', CONFIGS)
def test_wrong_paths(layout, check):
    faults = check(layout, shutil.rmtree)['set']
    # VOC2007's config trains on two sets
    assert len(faults) == (2 if layout == 'voc2007' else 1)
    assert all('data/' in fault and 'Error' in fault for fault in faults)


ANNOTATIONS = 'VOCdevkit/VOC2007/Annotations'
VOC = {
    'missing annotation': lambda path: path.unlink(),
    'unreadable annotation': lambda path: path.write_text(path.read_text()[:90]),
    'label': lambda path: path.write_text(path.read_text().replace('<name>', '<name>un')),
}


@pytest.mark.parametrize('kind', VOC)
def test_faults_of_voc(kind, check):
    faults = check('voc2007', lambda data: VOC[kind](first(data / ANNOTATIONS)))
    assert all('VOC2007/Annotations/000001.xml' in fault for fault in faults[kind])


def test_faults_of_a_classifier_and_classes_that_never_occur(check, whole):
    def damage(data):
        one, *_, last = sorted((data / 'imagenet/train').iterdir())
        first(one).write_bytes(b'no image')
        for path in last.iterdir():
            path.unlink()

    assert list(check('imagenet', damage)) == ['unreadable image']
    assert 'never: ' in '\n'.join(check_data(read_config(CONFIGS['imagenet']))[0].lines())


def test_a_degenerate_box_in_voc(check):
    def damage(data):
        for path in (data / 'VOCdevkit/VOC2007/Annotations').glob('*.xml'):
            text = path.read_text()
            begin, end = text.index('<xmin>') + 6, text.index('</xmin>')
            xmax = text[text.index('<xmax>') + 6 : text.index('</xmax>')]
            path.write_text(text[:begin] + xmax + text[end:])

    assert check('voc2007', damage)['degenerate box']


def repeated(dataset):
    return dict(type='RepeatDataset', times=3, dataset=dataset)


def mixed(dataset):
    load_image, load_annotations, *rest = dataset['pipeline']
    mosaic = dict(type='RandomMosaic', img_scale=(64, 64), prob=1.0)
    if dataset['type'] == 'CocoDataset':
        # mmdetection's mosaic loses the masks.
        mosaic['type'], load_annotations = 'Mosaic', {**load_annotations, 'with_mask': False}
    dataset = {**dataset, 'pipeline': [load_image, load_annotations]}
    return dict(type='MultiImageMixDataset', dataset=dataset, pipeline=[mosaic, *rest])


def mixed_and_joined(dataset):
    return dict(type='ConcatDataset', datasets=[repeated(mixed(dataset)), mixed(dataset)])


WRAPPED = {'repeated': repeated, 'mixed': mixed, 'mixed and joined': mixed_and_joined}


def wrapped(layout: str, wrap):
    cfg = read_config(CONFIGS[layout])
    dataset = cfg.train_dataloader.dataset.to_dict()
    # A mosaic mixes images of one size.
    if 'pipeline' in dataset:
        dataset['pipeline'] = [step for step in dataset['pipeline'] if 'Resize' not in step['type']]
    cfg.train_dataloader.dataset = wrap(dataset)
    return cfg


@pytest.mark.parametrize('wrap', WRAPPED.values(), ids=WRAPPED)
@pytest.mark.parametrize('layout', ['ade20k', 'coco'])
def test_sets_inside_of_sets_are_read_once(layout, wrap, check):
    check(layout, lambda data: None)
    alone = check_data(wrapped(layout, lambda dataset: dataset))[0]
    inside = check_data(wrapped(layout, wrap))[0]
    assert inside.faults == alone.faults == {}
    assert inside.samples == alone.samples == 6
    assert inside.classes == alone.classes and list(inside.known) == list(alone.known)


def test_what_is_wrong_inside_of_a_set_of_sets(check):
    check('coco', DETECTION['nothing labelled'])
    cfg = wrapped('coco', repeated)
    # The filter must not hide the images.
    cfg.train_dataloader.dataset.dataset.filter_cfg = dict(filter_empty_gt=True)
    faults = check_data(cfg)[0].faults
    assert len(faults['nothing labelled']) == 6
    assert faults['set'] == ['RepeatDataset: it has no samples']

    check('voc2007', lambda data: VOC['label'](first(data / ANNOTATIONS)))
    assert any('is called un' in fault for fault in check_data(wrapped('voc2007', repeated))[0].faults['label'])


def test_transforms_of_a_set_of_sets_that_fail_are_reported(whole, monkeypatch):
    monkeypatch.chdir(whole)
    cfg = wrapped('coco', mixed)
    cfg.train_dataloader.dataset.pipeline.append(dict(type='Resize', scale=(0, 0)))
    faults = check_data(cfg)[0].faults['pipeline']
    assert len(faults) == 6 and faults[0].startswith('MultiImageMixDataset, sample 0: ')


def test_a_file_of_class_names(whole, tmp_path, monkeypatch):
    monkeypatch.chdir(whole)
    cfg = read_config(CONFIGS['voc2007'])
    expected = check_data(cfg)[0]
    (tmp_path / 'classes.txt').write_text('\n'.join(expected.known))

    for dataset in cfg.train_dataloader.dataset.datasets:
        dataset.metainfo = dict(classes=str(tmp_path / 'classes.txt'))
    report = check_data(cfg)[0]
    assert not report.faults and report.classes == expected.classes

    (tmp_path / 'classes.txt').unlink()
    assert all('a file of them that is there' in fault for fault in check_data(cfg)[0].faults['set'])


def test_a_part_of_a_set(whole, monkeypatch):
    monkeypatch.chdir(whole)
    for layout in ('ade20k', 'coco'):
        cfg = read_config(CONFIGS[layout])
        cfg.train_dataloader.dataset.indices = 3
        report = check_data(cfg)[0]
        assert report.samples == 3 and not report.faults


def test_a_part_of_a_set_is_not_blamed_for_the_rest(check):
    check('coco', annotate(bbox=[10, 10, 0, 20]))
    cfg = read_config(CONFIGS['coco'])
    cfg.train_dataloader.dataset.indices = [-1]
    assert not check_data(cfg)[0].faults


def test_validation_and_test_may_share_images(whole, monkeypatch):
    monkeypatch.chdir(whole)
    cfg = read_config(CONFIGS['ade20k'])
    cfg.test_dataloader = {**cfg.val_dataloader, 'dataset': {**cfg.val_dataloader.dataset, 'pipeline': []}}
    _, val, test = check_data(cfg)
    assert not val.faults and not test.faults

    cfg.val_dataloader = cfg.train_dataloader
    _, val, test = check_data(cfg)
    assert len(val.faults['leak']) == 6 and not test.faults


def test_images_without_labels(check):
    def damage(data):
        shutil.rmtree(data / LABELS)
        rewrite(data, lambda text: json.dumps({**json.loads(text), 'annotations': []}))

    assert len(check('ade20k', damage)['missing annotation']) == 6
    for layout in ('ade20k', 'coco'):
        cfg = read_config(CONFIGS[layout])
        # A config for predictions only loads the images.
        cfg.train_dataloader.dataset.pipeline = cfg.train_dataloader.dataset.pipeline[:1]
        cfg.train_dataloader.dataset.filter_cfg = None
        report = check_data(cfg)[0]
        assert report.samples == 6 and not report.faults

        if layout == 'ade20k':
            del cfg.train_dataloader.dataset.data_prefix['seg_map_path']
            assert not check_data(cfg)[0].faults


def test_an_image_that_is_turned_as_it_is_read(check):
    def damage(data):
        for image, labels in ((data / IMAGES, data / LABELS), (data / 'coco/train2017', None)):
            path = first(image)
            exif = Image.Exif()
            exif[ExifTags.Base.Orientation] = 6
            Image.open(path).resize((64, 32)).save(path, exif=exif)
            if labels:
                Image.open(first(labels)).resize((32, 64), 0).save(first(labels))

    assert check('ade20k', damage) == {}
    # The file is annotated as 64 x 64.
    assert '32 x 64, annotated as 64 x 64' in check_data(read_config(CONFIGS['coco']))[0].faults['size'][0]


def test_arrays_in_place_of_images(check):
    def damage(data):
        for path in (data / IMAGES).iterdir():
            np.save(path.with_suffix('.npy'), np.array(Image.open(path)))
            path.unlink()

    check('ade20k', damage)
    cfg = read_config(CONFIGS['ade20k'])
    cfg.train_dataloader.dataset.update(img_suffix='.npy')
    assert len(check_data(cfg)[0].faults['unreadable image']) == 6

    cfg.train_dataloader.dataset.pipeline[0] = dict(type='LoadImageFromNpyFile')
    report = check_data(cfg)[0]
    assert report.samples == 6 and not report.faults


SEGMENT = ('id', 'category_id', 'area', 'bbox', 'iscrowd')


def panoptic(check, damage=lambda content: None):
    """Write a panoptic file with the objects of the detection set, and return a config that reads it."""

    def write(data):
        detection = json.loads((data / 'coco/annotations/instances_train2017.json').read_text())
        segments = {image['id']: [] for image in detection['images']}
        for annotation in detection['annotations']:
            segments[annotation['image_id']].append({key: annotation[key] for key in SEGMENT})

        content = {
            'images': detection['images'],
            'categories': [{**category, 'isthing': 1} for category in detection['categories']],
            'annotations': [dict(image_id=image, segments_info=parts) for image, parts in segments.items()],
        }
        damage(content)
        (data / 'coco/annotations/panoptic.json').write_text(json.dumps(content))
        for image in detection['images']:
            Image.new('RGB', (64, 64)).save(data / f'coco/{Path(image["file_name"]).stem}.png')

    check('coco', write)
    cfg = read_config(CONFIGS['coco'])
    dataset = cfg.train_dataloader.dataset
    dataset.update(type='CocoPanopticDataset', ann_file='annotations/panoptic.json')
    dataset.data_prefix.seg = '.'
    dataset.pipeline = dataset.pipeline[:1]

    return cfg


def test_a_panoptic_set(check):
    report = check_data(panoptic(check))[0]
    detection = check_data(read_config(CONFIGS['coco']))[0]
    assert not report.faults and report.classes == detection.classes


def test_faults_of_a_panoptic_set(check):
    def damage(content):
        content['annotations'][0]['segments_info'][0]['bbox'] = [60, 10, 40, 10]

    cfg = panoptic(check, damage)
    Path(cfg.train_dataloader.dataset.data_root, '000000000001.png').unlink()
    faults = check_data(cfg)[0].faults
    assert set(faults) == {'box outside', 'missing annotation'}


def test_lvis_has_addresses_for_names(tmp_path):
    content = dict(
        images=[dict(id=1, coco_url='http://host/train2017/1.jpg', width=64, height=64)],
        categories=[dict(id=1, name='ball')],
        annotations=[dict(id=1, image_id=1, category_id=1, bbox=[0, 0, 0, 5])],
    )
    (tmp_path / 'lvis.json').write_text(json.dumps(content))

    dataset = mock.MagicMock(
        ann_file=str(tmp_path / 'lvis.json'),
        metainfo=dict(classes=['ball']),
        get_data_info=lambda index: dict(img_id=1),
    )
    dataset.__len__.return_value = 1

    report = Report('train')
    check_coco_file(dataset, report)
    assert report.faults == {'degenerate box': ['http://host/train2017/1.jpg: 0 x 5 at 0, 0']}


def test_transforms_that_fail_are_reported(whole, monkeypatch):
    monkeypatch.chdir(whole)
    cfg = read_config(CONFIGS['ade20k'])
    cfg.train_dataloader.dataset.pipeline.insert(2, dict(type='Resize', scale=(0, 0)))
    faults = check_data(cfg)[0].faults
    assert len(faults['pipeline']) == 6


def test_the_command_ends_with_an_error_where_there_are_faults(check, tmp_path, capsys):
    main(['check-data', CONFIGS['ade20k']])
    assert 'train: 6 samples, 0 faults' in capsys.readouterr().out

    for path in (tmp_path / 'data' / LABELS).iterdir():
        path.unlink()
    with pytest.raises(SystemExit) as exit_info:
        main(['check-data', CONFIGS['ade20k'], '--cases', '2'])
    assert exit_info.value.code == 1
    output = capsys.readouterr().out
    assert '6 annotations that are not there' in output and 'and 4 more' in output
