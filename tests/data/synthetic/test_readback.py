"""The files as mmseg's and mmdet's own dataset classes read them, unchanged, against the scenes that were written."""

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from PIL import Image
from pycocotools.coco import COCO

from lkdense.data.synthetic import LAYOUTS, Scene, ade20k, cityscapes, coco, make_scene, voc
from lkdense.data.synthetic.scenes import CLUTTER

TRAIN, VAL = 4, 2


@pytest.fixture(scope='module')
def splits():
    scenes = [make_scene(np.random.default_rng([118, index]), (96, 128)) for index in range(TRAIN + VAL)]
    # The tests below mean something only if everything that layouts treat differently occurs.
    assert any((scene.objects == CLUTTER).any() for scene in scenes)
    assert any(min(scene.visible) < voc.DIFFICULT_BELOW for scene in scenes)
    return scenes[:TRAIN], scenes[TRAIN:]


@pytest.fixture(scope='module')
def data(splits, tmp_path_factory):
    """A ``data`` folder with all five layouts of the same scenes."""
    root = tmp_path_factory.mktemp('data')
    for form in LAYOUTS.values():
        folder = root / form.folder
        folder.mkdir(parents=True)
        form.write(folder, *splits)
    return root


@pytest.fixture
def mmseg_datasets():
    import mmseg.datasets

    init_default_scope('mmseg')
    return mmseg.datasets


@pytest.fixture
def mmdet_datasets():
    import mmdet.datasets

    init_default_scope('mmdet')
    return mmdet.datasets


SEGMENTATION = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
DETECTION = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True)]
INSTANCES = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True, with_mask=True)]


def truth(scene: Scene, background: int | None = None, first: int = 0) -> np.ndarray:
    """Training labels: class ``c`` is ``first + c``, clutter is ignored."""
    values = np.full(scene.objects.shape, 255 if background is None else background)
    for index, mask in zip(scene.classes, scene.masks, strict=True):
        values[mask] = first + index
    values[scene.objects == CLUTTER] = 255
    return values


def assert_pictures_match(read_bgr: np.ndarray, scene: Scene) -> None:
    assert np.abs(read_bgr[..., ::-1].astype(int) - scene.image).mean() < 8


@pytest.mark.parametrize(('split', 'part'), [('training', 0), ('validation', 1)])
def test_ade20k_dataset_reads_background_as_wall_and_clutter_as_ignored(split, part, data, splits, mmseg_datasets):
    dataset = mmseg_datasets.ADE20KDataset(
        data_root=str(data / 'ade/ADEChallengeData2016'),
        data_prefix=dict(img_path=f'images/{split}', seg_map_path=f'annotations/{split}'),
        pipeline=SEGMENTATION,
    )
    assert len(dataset) == len(splits[part])
    for sample, scene in zip(dataset, splits[part], strict=True):
        assert_pictures_match(sample['img'], scene)
        assert (sample['gt_seg_map'] == truth(scene, background=0, first=1)).all()

    names = [name.strip() for name in dataset.metainfo['classes']]
    assert names[0] == 'wall'
    assert tuple(names[1 : 1 + len(ade20k.CLASSES)]) == ade20k.CLASSES


@pytest.mark.parametrize(('split', 'part'), [('train', 0), ('val', 1)])
def test_cityscapes_dataset_reads_training_ids(split, part, data, splits, mmseg_datasets):
    dataset = mmseg_datasets.CityscapesDataset(
        data_root=str(data / 'cityscapes'),
        data_prefix=dict(img_path=f'leftImg8bit/{split}', seg_map_path=f'gtFine/{split}'),
        pipeline=SEGMENTATION,
    )
    assert len(dataset) == len(splits[part])
    for sample, scene in zip(dataset, splits[part], strict=True):
        assert (sample['img'][..., ::-1] == scene.image).all()
        # The first eight classes here, person to bicycle, are the last eight training ids.
        assert (sample['gt_seg_map'] == truth(scene, background=0, first=11)).all()

    names = dataset.metainfo['classes']
    assert tuple(names[index] for index in cityscapes.TRAIN_IDS) == cityscapes.CLASSES
    assert names[cityscapes.ROAD[1]] == 'road'


@pytest.mark.parametrize(
    ('kind', 'split', 'chosen', 'border'),
    [
        ('SegmentationClass', 'train', [0, 1], True),
        ('SegmentationClass', 'val', [4, 5], True),
        ('SegmentationClass', 'trainval', [0, 1, 4, 5], True),
        ('SegmentationClassAug', 'aug', [2, 3], False),
        ('SegmentationClassAug', 'trainaug', [0, 1, 2, 3], False),
    ],
)
def test_voc2012_is_read_for_segmentation(kind, split, chosen, border, data, splits, mmseg_datasets):
    dataset = mmseg_datasets.PascalVOCDataset(
        data_root=str(data / 'VOCdevkit/VOC2012'),
        data_prefix=dict(img_path='JPEGImages', seg_map_path=kind),
        ann_file=f'ImageSets/Segmentation/{split}.txt',
        pipeline=SEGMENTATION,
    )
    assert len(dataset) == len(chosen)
    scenes = [[*splits[0], *splits[1]][number] for number in chosen]
    for sample, scene in zip(dataset, scenes, strict=True):
        assert_pictures_match(sample['img'], scene)
        expected, read = truth(scene, background=0, first=1), sample['gt_seg_map']
        changed = read != expected
        assert (read[changed] == 255).all()
        assert changed.any() == border
        # The contour is ignored, but it must not swallow the objects.
        assert changed.mean() < 0.15

    assert dataset.metainfo['classes'] == ('background', *voc.CLASSES)


def test_coco_dataset_reads_exact_masks_and_boxes(data, splits, mmdet_datasets):
    for split, scenes in zip(('train', 'val'), splits, strict=True):
        dataset = mmdet_datasets.CocoDataset(
            data_root=str(data / 'coco'),
            ann_file=f'annotations/instances_{split}2017.json',
            data_prefix=dict(img=f'{split}2017/'),
            filter_cfg=dict(filter_empty_gt=True, min_size=32),
            pipeline=INSTANCES,
        )
        assert len(dataset) == len(scenes)

        for sample, scene in zip(dataset, scenes, strict=True):
            assert_pictures_match(sample['img'], scene)
            assert sample['gt_bboxes_labels'].tolist() == list(scene.classes)
            assert sample['gt_bboxes'].tensor.tolist() == scene.boxes.tolist()
            assert (sample['gt_masks'].masks == scene.masks).all()
            assert not sample['gt_ignore_flags'].any()

        assert dataset.metainfo['classes'][: len(coco.CLASSES)] == coco.CLASSES
        assert dataset.cat_ids[: len(coco.CLASSES)] == coco.CATEGORY_IDS
        assert len(dataset.cat_ids) == 80


def test_coco_polygons_survive_pipelines_that_keep_polygons(data, splits, mmdet_datasets):
    dataset = mmdet_datasets.CocoDataset(
        data_root=str(data / 'coco'),
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
        pipeline=[*INSTANCES[:1], dict(type='LoadAnnotations', with_bbox=True, with_mask=True, poly2mask=False)],
    )
    for sample, scene in zip(dataset, splits[0], strict=True):
        assert not sample['gt_ignore_flags'].any()
        assert sample['gt_masks'].areas == pytest.approx(scene.masks.sum((1, 2)))


def test_coco_annotations_are_consistent(data):
    ids = {'imgs': [], 'anns': []}
    for split in ('train', 'val'):
        annotations = COCO(data / f'coco/annotations/instances_{split}2017.json')
        for kind, known in ids.items():
            known += getattr(annotations, kind)
        for annotation in annotations.anns.values():
            mask = annotations.annToMask(annotation)
            assert annotation['area'] == mask.sum()
            assert annotation['category_id'] in coco.CATEGORY_IDS[:8]
            assert annotation['iscrowd'] == 0

    assert len(set(ids['imgs'])) == len(ids['imgs']) == TRAIN + VAL
    assert len(set(ids['anns'])) == len(ids['anns'])


@pytest.mark.parametrize(
    ('year', 'split', 'chosen'),
    [
        ('2007', 'train', [0, 1]),
        ('2007', 'val', [2, 3]),
        ('2007', 'trainval', [0, 1, 2, 3]),
        ('2007', 'test', [4, 5]),
        ('2012', 'train', [0, 1, 2, 3]),
        ('2012', 'val', [4, 5]),
        ('2012', 'trainval', [0, 1, 2, 3, 4, 5]),
    ],
)
def test_voc_is_read_for_detection(year, split, chosen, data, splits, mmdet_datasets):
    dataset = mmdet_datasets.VOCDataset(
        data_root=str(data / 'VOCdevkit'),
        ann_file=f'VOC{year}/ImageSets/Main/{split}.txt',
        data_prefix=dict(sub_data_root=f'VOC{year}/'),
        pipeline=DETECTION,
        test_mode=True,
    )
    assert len(dataset) == len(chosen)
    assert dataset.metainfo['dataset_type'] == f'VOC{year}'
    scenes = [[*splits[0], *splits[1]][number] for number in chosen]

    for sample, scene in zip(dataset, scenes, strict=True):
        assert_pictures_match(sample['img'], scene)
        assert sample['gt_bboxes_labels'].tolist() == list(scene.classes)
        # VOC's last column and row are included in the box
        assert sample['gt_bboxes'].tensor.tolist() == (scene.boxes - [0, 0, 1, 1]).tolist()
        assert sample['gt_ignore_flags'].tolist() == [visible < voc.DIFFICULT_BELOW for visible in scene.visible]

    assert dataset.metainfo['classes'] == voc.CLASSES


def test_voc_class_lists_agree_with_the_annotations(data, splits):
    main = data / 'VOCdevkit/VOC2007/ImageSets/Main'
    for index, name in enumerate(voc.CLASSES):
        for line, scene in zip((main / f'{name}_test.txt').read_text().splitlines(), splits[1], strict=True):
            visible = [share for c, share in zip(scene.classes, scene.visible, strict=True) if c == index]
            expected = -1 if not visible else int(max(visible) >= voc.DIFFICULT_BELOW)
            assert int(line.split()[1]) == expected
            assert len(line) == len('000005 -1')
    assert len(list(main.glob('*_test.txt'))) == 20


def test_voc_maps_are_palette_pictures_with_a_void_contour(data, splits):
    folder = data / 'VOCdevkit/VOC2012'
    classes, objects = (
        Image.open(folder / kind / '2012_000001.png') for kind in ('SegmentationClass', 'SegmentationObject')
    )
    assert classes.mode == objects.mode == 'P'
    assert np.asarray(classes.convert('RGB'))[np.asarray(classes) == 255].tolist()[0] == [224, 224, 192]
    assert ((np.asarray(classes) == 255) == (np.asarray(objects) == 255)).all()
    inside = np.asarray(objects) != 255
    assert (np.asarray(objects)[inside] == splits[0][0].objects[inside]).all()
    assert not (folder / 'SegmentationClass' / '2012_000003.png').exists()
