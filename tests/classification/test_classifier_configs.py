"""Every config of a classifier builds, and its docstring says what it does."""

import ast
import re
from pathlib import Path

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, HOOKS, METRICS, MODELS, PARAM_SCHEDULERS, VISUALIZERS

from lkdense import get_config

CONFIGS = sorted((Path(__file__).parents[2] / 'configs').glob('classifier_*.py'))
NAMES = [path.stem for path in CONFIGS]
PROMISED = [f'slak_{size}' for size in ('pico', 't', 's', 'b')] + [f'convnext_{size}' for size in 'tsb']


def test_the_promised_configs_are_there():
    assert {f'classifier_{name}_in1k' for name in (*PROMISED, 'replknet_31b', 'unireplknet_t')} == set(NAMES)


@pytest.fixture(params=CONFIGS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def cfg(path):
    return get_config(path.stem)


def test_the_docstring_tells_the_truth(path, cfg):
    text = ast.get_docstring(ast.parse(path.read_text()))
    batch = re.search(r'Global batch (\d+): (\d+) GPUs? x (\d+) images?\.', text)
    total, gpus, per_gpu = map(int, batch.groups())
    assert total == gpus * per_gpu
    assert (cfg.train_dataloader.batch_size, cfg.auto_scale_lr.base_batch_size) == (per_gpu, total)
    assert cfg.train_cfg.max_epochs == int(re.search(r'(\d+) epochs', text)[1])
    assert 'SparseTrainingHook' in str(cfg.custom_hooks) or '40 %' not in text


def test_it_builds_and_learns_without_decay_on_norms_and_biases(cfg):
    with torch.device('meta'):
        model = MODELS.build(cfg.model).eval()
        assert model(torch.empty(2, 3, 224, 224)).shape == (2, 1000)

    assert not model.backbone.output_norms
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
    decays = {}
    for group in optimizer.param_groups:
        decays.update(dict.fromkeys(map(id, group['params']), group['weight_decay']))

    for name, parameter in model.named_parameters():
        # MMEngine does not know global response normalization as a norm, so its affine parameters decay.
        if 'project.gamma' not in name and 'project.beta' not in name:
            assert decays[id(parameter)] == (0.05 if parameter.dim() > 1 else 0.0), name

    for scheduler in cfg.param_scheduler:
        PARAM_SCHEDULERS.build({**scheduler, 'convert_to_iter_based': False}, default_args=dict(optimizer=optimizer))

    warm_up, cosine = cfg.param_scheduler
    assert (cosine.begin, cosine.end) == (warm_up.end, cfg.train_cfg.max_epochs)


def test_data_hooks_and_metric(cfg, tmp_path):
    (tmp_path / 'n01440764').mkdir()
    (tmp_path / 'n01440764/a.JPEG').write_bytes(b'')
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        # MMEngine collects garbage before it serialises, which takes long in a large process.
        dataset = dict(loader.dataset, data_root=str(tmp_path), serialize_data=False)
        assert len(DATASETS.build(dataset)) == 1

    for hook in (*cfg.default_hooks.values(), *cfg.custom_hooks):
        HOOKS.build(hook)
    METRICS.build(cfg.val_evaluator)
    VISUALIZERS.build(dict(cfg.visualizer, save_dir=str(tmp_path), name=tmp_path.name))
    assert cfg.default_hooks.checkpoint.save_best == 'accuracy/top1'
