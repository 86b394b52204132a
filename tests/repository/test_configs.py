"""Every config for dense prediction: builds, has channels that fit, and does what its name and its docstring say."""

import ast
import re
from copy import deepcopy
from functools import cache
from itertools import product
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import (
    DATA_SAMPLERS,
    DATASETS,
    HOOKS,
    LOOPS,
    METRICS,
    MODELS,
    PARAM_SCHEDULERS,
    TRANSFORMS,
    VISUALIZERS,
    DefaultScope,
)

from lkdense.backbones import FAMILIES

pytestmark = pytest.mark.filterwarnings('ignore::UserWarning:(mmengine|mmseg|mmdet)')

FOLDER = Path(__file__).parents[2] / 'configs'
CONFIGS = {path.stem: path for path in sorted(FOLDER.glob('*.py')) if not path.stem.startswith('classifier_')}

HEADS = {'upernet': 'EncoderDecoder', 'cascade_mask_rcnn': 'CascadeRCNN', 'faster_rcnn': 'FasterRCNN', 'fcos': 'FCOS'}
BACKBONES = {
    **{module: {name} for name, module in FAMILIES.items()},
    'swin': {'SwinTransformer'},
    'resnet': {'ResNet', 'ResNetV1c'},
}
DATASET_TYPES = {
    'ade20k': 'ADE20KDataset',
    'cityscapes': 'CityscapesDataset',
    'voc12': 'PascalVOCDataset',
    'coco': 'CocoDataset',
    'voc07': 'VOCDataset',
}
NAME = re.compile(
    rf'(?P<head>{"|".join(HEADS)})_(?P<backbone>{"|".join(BACKBONES)})_(?P<size>[a-z0-9]+)'
    rf'_(?P<dataset>{"|".join(DATASET_TYPES)})(_(?P<variant>769))?'
)
# Sizes from the smallest to the largest. Pico is ours and has a recipe of its own.
SIZES = ['t', 's', 'b', 'l', '31b', '31l', 'xl', '50', '101']
SWIN_SIZES = {'t': (96, (2, 2, 6, 2)), 's': (96, (2, 2, 18, 2)), 'b': (128, (2, 2, 18, 2))}

OURS = [f'slak_{s}' for s in 'tsb'] + [f'replknet_{s}' for s in ('31b', '31l', 'xl')]
OURS += [f'{family}_{s}' for family in ('convnext', 'unireplknet') for s in ('t', 's', 'b', 'l', 'xl')]
COMPARATORS = ['swin_t', 'swin_s', 'swin_b', 'resnet_50', 'resnet_101']
# The last config of each head and data set stands for the others where all would take long.
EXAMPLES = {(m['head'], m['dataset']): name for name in CONFIGS if (m := NAME.fullmatch(name))}.values()


@pytest.fixture(scope='module', autouse=True)
def _registered():
    for package in ('mmseg', 'mmdet'):
        pytest.importorskip(f'{package}.utils').register_all_modules(init_default_scope=False)


# Tests of one config follow each other, so that its model is built once.
@pytest.fixture(scope='module', params=CONFIGS)
def name(request):
    return request.param


@pytest.fixture
def cfg(name):
    cfg = deepcopy(load(name))
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        yield cfg


@pytest.fixture(scope='module')
def model(name):
    """Return the model of a config on the meta device; to initialize the largest would take seconds."""
    cfg = deepcopy(load(name))

    with pytest.MonkeyPatch.context() as patch, DefaultScope.overwrite_default_scope(cfg.default_scope):
        for init in dir(torch.nn.init):
            if init.endswith('_') and not init.startswith('_'):
                patch.setattr(torch.nn.init, init, lambda tensor, *args, **kwargs: tensor)

        return MODELS.build(cfg.model).eval().to('meta')


@cache
def load(name):
    return Config.fromfile(CONFIGS[name])


def docstring(name):
    return ast.get_docstring(ast.parse(CONFIGS[name].read_text())) or ''


def leaf_datasets(dataset):
    return dataset.datasets if 'datasets' in dataset else [dataset]


def find(registry, name):
    """Look ``name`` up as ``build`` does: in the config's scope."""
    with registry.switch_scope_and_registry(None) as scoped:
        found = scoped.get(name)
    assert found, f'{name} is not in the registry {registry.name}'
    return found


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in (*value.keys(), *value.values()):
            yield from strings(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from strings(item)


def test_the_promised_configs_are_there():
    seg = product(['upernet'], OURS + COMPARATORS, ['ade20k', 'cityscapes', 'voc12'])
    coco = product(['cascade_mask_rcnn'], OURS + COMPARATORS, ['coco'])
    voc = product(['faster_rcnn'], ['slak_t', 'replknet_31b', 'convnext_t', 'slak_pico', 'convnext_pico'], ['voc07'])
    pico = product(['upernet'], ['slak_pico', 'convnext_pico', 'replknet_pico'], ['ade20k'])
    promised = {'_'.join(parts) for parts in (*seg, *coco, *voc, *pico)}
    promised |= {'fcos_replknet_31b_coco', 'cascade_mask_rcnn_slak_pico_coco', 'upernet_replknet_31b_cityscapes_769'}
    assert promised <= set(CONFIGS)


def split_name(path):
    """Return a config's family with its head and data set, and its size, as its file name has them."""
    family = next(family for family in BACKBONES if f'_{family}_' in path.stem)
    head, rest = path.stem.split(f'_{family}_')
    size, dataset = rest.split('_', 1)
    return (head, family, dataset), size


def base_of(path):
    """Return what stands in the ``_base_`` of a config, a string or a list."""
    for statement in ast.parse(path.read_text()).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == '_base_':
            return ast.literal_eval(statement.value)
    raise AssertionError(f'{path} has no _base_')


def test_of_the_sizes_that_share_their_pieces_only_the_smallest_lists_them():
    listed_by = {}
    for path in FOLDER.glob('*.py'):
        base, (family, size) = base_of(path), split_name(path)
        if isinstance(base, list) and size != 'pico':
            other = listed_by.setdefault((family, *base), path.stem)
            assert other == path.stem, f'{path.stem} and {other} list the same pieces; derive the larger one'


def test_a_size_derives_from_a_smaller_one_of_its_family_and_data_set():
    for path in FOLDER.glob('*.py'):
        if isinstance(base := base_of(path), str):
            (family, size), (base_family, base_size) = split_name(path), split_name(FOLDER / base)
            assert family == base_family, path.stem
            assert SIZES.index(base_size) < SIZES.index(size), path.stem
            assert isinstance(base_of(FOLDER / base), list), f'{path.stem}: a chain of more than one leaf'


def test_name_says_what_is_inside(name, cfg):
    parts = NAME.fullmatch(name)
    assert cfg.model.type == HEADS[parts['head']]
    assert cfg.default_scope == ('mmseg' if parts['head'] == 'upernet' else 'mmdet')
    backbone = cfg.model.backbone
    assert backbone.type in BACKBONES[parts['backbone']]

    if parts['backbone'] == 'swin':
        assert (backbone.embed_dims, tuple(backbone.depths)) == SWIN_SIZES[parts['size']]
    elif parts['backbone'] == 'resnet':
        assert backbone.depth == int(parts['size'])
    else:
        assert backbone.arch.startswith(parts['size'])

    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        assert {dataset.type for dataset in leaf_datasets(loader.dataset)} == {DATASET_TYPES[parts['dataset']]}


def test_docstring_tells_the_truth(name, cfg):
    text = docstring(name)
    total, gpus, per_gpu = map(int, re.search(r'Global batch (\d+): (\d+) GPUs? x (\d+) images?\.', text).groups())
    assert total == gpus * per_gpu
    assert (cfg.train_dataloader.batch_size, cfg.auto_scale_lr.base_batch_size) == (per_gpu, total)
    assert not cfg.auto_scale_lr.enable
    title = text.splitlines()[0]

    if cfg.default_scope == 'mmseg':
        assert cfg.train_cfg.max_iters == 1000 * int(re.search(r'(\d+)k iterations', title)[1])
        crop = tuple(map(int, re.search(r'(\d+)x(\d+) crops', title).groups()))
        assert crop == cfg.model.data_preprocessor.size
        assert cfg.model.test_cfg.mode == ('slide' if 'sliding window' in title else 'whole')
    else:
        assert cfg.train_cfg.max_epochs == int(re.search(r'(\d+) epochs', title)[1])

    assert len(CONFIGS[name].read_text().splitlines()) <= 30


def test_channels_fit(name, cfg, model):
    with torch.no_grad():
        features = model.backbone(torch.empty(1, 3, 128, 128, device='meta'))

    widths = [feature.shape[1] for feature in features]
    if NAME.fullmatch(name)['backbone'] in FAMILIES.values():
        assert widths == list(model.backbone.out_channels)

    assert [128 // feature.shape[-1] for feature in features] == [4, 8, 16, 32]
    classes = len(find(DATASETS, cfg.val_dataloader.dataset.type).METAINFO['classes'])

    with torch.no_grad():
        if cfg.default_scope == 'mmseg':
            assert list(cfg.model.decode_head.in_channels) == widths
            assert cfg.model.auxiliary_head.in_channels == widths[cfg.model.auxiliary_head.in_index]
            for head in (model.decode_head, model.auxiliary_head):
                assert head(features).shape[1] == classes
        else:
            assert list(cfg.model.neck.in_channels) == widths
            check_detection_heads(model, model.neck(features), classes)


def check_detection_heads(model, pyramid, classes):
    if not hasattr(model, 'rpn_head'):
        scores, _, _ = model.bbox_head(pyramid)
        assert {score.shape[1] for score in scores} == {classes}
        return

    scores, _ = model.rpn_head(pyramid)
    assert len(scores) == len(pyramid) == 5
    heads = model.roi_head.bbox_head
    for head in heads if isinstance(heads, torch.nn.ModuleList) else [heads]:
        scores, deltas = head(torch.empty(2, pyramid[0].shape[1], 7, 7, device='meta'))
        assert (scores.shape[1], deltas.shape[1]) == (classes + 1, 4 * classes)

    if model.with_mask:
        for head in model.roi_head.mask_head:
            assert head(torch.empty(2, pyramid[0].shape[1], 14, 14, device='meta')).shape == (2, classes, 28, 28)


def test_optimizer_and_schedule(name, cfg, model):
    wrapper = dict(cfg.optim_wrapper)
    if not torch.cuda.is_available():
        # AmpOptimWrapper refuses to be built on a CPU.
        wrapper['type'] = 'OptimWrapper'

    optimizer = build_optim_wrapper(model, wrapper)
    rates = {group['lr'] for group in optimizer.param_groups}
    lr = wrapper['optimizer'].lr
    assert max(rates) == lr

    paramwise = wrapper.get('paramwise_cfg', {})
    if 'decay_rate' in paramwise:
        # These authors count so many layers in their tiny models and 12 in the others; the head is one more.
        tiny = {'slak': 6, 'convnext': 6, 'unireplknet': 9}
        parts = NAME.fullmatch(name)
        if parts['backbone'] in tiny:
            layers = tiny[parts['backbone']] if parts['size'] == 't' else 12
            assert min(rates) == pytest.approx(lr * paramwise.decay_rate ** (layers + 1))
    else:
        assert min(rates) == lr

    for scheduler in cfg.param_scheduler:
        PARAM_SCHEDULERS.build(scheduler, default_args=dict(optimizer=optimizer))

    warm_up, decay = cfg.param_scheduler
    if cfg.default_scope == 'mmseg':
        assert (decay.begin, decay.end) == (warm_up.end, cfg.train_cfg.max_iters)
        assert cfg.default_hooks.checkpoint.interval == cfg.train_cfg.val_interval
    else:
        assert decay.end == cfg.train_cfg.max_epochs > max(decay.milestones)


def test_crop_sizes_agree(cfg):
    if cfg.default_scope != 'mmseg':
        return
    crop = tuple(cfg.model.data_preprocessor.size)
    for dataset in leaf_datasets(cfg.train_dataloader.dataset):
        assert [tuple(step.crop_size) for step in dataset.pipeline if step.type == 'RandomCrop'] == [crop]
    if cfg.model.test_cfg.mode == 'slide':
        assert tuple(cfg.model.test_cfg.crop_size) == crop
        assert tuple(cfg.model.test_cfg.stride) == tuple(2 * size // 3 for size in crop)


def test_parts_are_known(cfg, tmp_path):
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        # With lazy_init no file is read, but arguments and transforms are checked.
        find(DATASETS, loader.dataset.type)
        find(DATA_SAMPLERS, loader.sampler.type)
        for dataset in leaf_datasets(loader.dataset):
            # This one looks for its files even then.
            if dataset.type == 'PascalVOCDataset':
                (tmp_path / dataset.data_prefix.img_path).mkdir(exist_ok=True)
                (tmp_path / dataset.ann_file).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / dataset.ann_file).touch()
            DATASETS.build(dict(dataset, data_root=str(tmp_path), lazy_init=True))

    for loop in (cfg.train_cfg, cfg.val_cfg, cfg.test_cfg):
        find(LOOPS, loop.type)

    VISUALIZERS.build(dict(cfg.visualizer, save_dir=str(tmp_path)))
    assert {'iteration_seed', 'official_checkpoint', 'checkpoint'} <= set(cfg.default_hooks)
    for hook in cfg.default_hooks.values():
        HOOKS.build(hook)

    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        METRICS.build({**evaluator, 'ann_file': None} if 'ann_file' in evaluator else evaluator)


def test_test_time_augmentation(cfg):
    if cfg.model.type == 'CascadeRCNN':
        # mmdetection cannot merge masks.
        assert 'tta_model' not in cfg
        return

    find(MODELS, cfg.tta_model.type)
    for transform in cfg.tta_pipeline:
        TRANSFORMS.build(transform)

    sizes, flips, *_ = cfg.tta_pipeline[1].transforms
    tested_at = next(step.scale for step in cfg.val_dataloader.dataset.pipeline if step.type == 'Resize')
    assert tuple(tested_at) in {tuple(size.scale) for size in sizes}
    assert {flip.prob for flip in flips} == {0.0, 1.0}


def test_best_checkpoint_is_chosen_by_the_metric_of_the_data_set(cfg):
    metric = {'IoUMetric': 'mIoU', 'CocoMetric': 'coco/bbox_mAP', 'VOCMetric': 'pascal_voc/mAP'}[cfg.val_evaluator.type]
    checkpoint = cfg.default_hooks.checkpoint
    assert (checkpoint.save_best, checkpoint.rule) == (metric, 'greater')
    assert cfg.test_evaluator == cfg.val_evaluator
    assert checkpoint.get('by_epoch', True) == cfg.log_processor.by_epoch == (cfg.default_scope == 'mmdet')


def test_no_path_is_absolute_and_nothing_is_downloaded(cfg):
    assert not [text for text in strings(cfg.to_dict()) if text.startswith(('/', '~')) or '://' in text]


@pytest.mark.parametrize('name', EXAMPLES)
def test_a_dumped_config_reads_back(cfg, tmp_path):
    cfg.dump(tmp_path / 'dumped.py')
    assert Config.fromfile(tmp_path / 'dumped.py').to_dict() == cfg.to_dict()


EXAMPLE_FILES = [path for path in sorted(FOLDER.glob('examples/*.py')) if not path.stem.startswith('classifier_')]


@pytest.mark.parametrize('path', EXAMPLE_FILES, ids=lambda path: path.stem)
def test_examples_change_the_classes_everywhere(path):
    cfg = Config.fromfile(path)
    loaders = (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader)
    (classes,) = {len(loader.dataset.metainfo.classes) for loader in loaders}

    with DefaultScope.overwrite_default_scope(cfg.default_scope), torch.device('meta'), torch.no_grad():
        model = MODELS.build(cfg.model).eval()
        features = model.backbone(torch.empty(1, 3, 128, 128))
        if cfg.default_scope == 'mmseg':
            assert [head(features).shape[1] for head in (model.decode_head, model.auxiliary_head)] == [classes, classes]
        else:
            check_detection_heads(model, model.neck(features), classes)
