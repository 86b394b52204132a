"""From the description of a study to its cells: all but the kernel is equal, and nothing of another plan is lost."""

from pathlib import Path

import pytest
import yaml
from mmengine.config import Config

from lkdense.config import read_config
from lkdense.errors import UserError
from lkdense.models import build_model, on_meta_or_cpu
from lkdense.study import expand, read_study, write_plan
from lkdense.study.plan import build_cell_config

STUDIES = sorted((Path(__file__).parents[2] / 'configs/studies').glob('*.yml'))


@pytest.fixture
def study():
    """The description of a study of eight cells."""
    kernels = {
        '7': dict(kernel_sizes=[7, 7, 7, 7]),
        '13 strips': dict(kernel_sizes=[13, 13, 13, 13], decompose=True),
    }
    options = {'train_dataloader.dataset.data_root': '{data}/reach_{distance}', 'train_cfg.max_iters': 3}
    reach = dict(kind='segmentation', config='studies/fcn_stage1_reach', chance=50.0, distances=[12, 24])

    return {
        'title': 'A small one',
        'seeds': [0, 1],
        'families': {'narrow': dict(type='lkdense.SLaK', arch='pico', width_factor=1.0, decompose=False)},
        'kernels': kernels,
        'tasks': {'reach': dict(options=options, **reach)},
        'data': {'reach_12': dict(make='reach', distance=12, train=2, val=1)},
    }


def test_cells_are_the_grid_first_seeds_first(study):
    cells = list(expand(study))
    assert len({cell.name for cell in cells}) == len(cells) == 8
    assert [cell.seed for cell in cells] == [0] * 4 + [1] * 4
    assert cells[0].name == 'reach-narrow-k7-d12-s0'
    assert {cell.name for cell in cells if cell.kernel == '13 strips'} == {
        f'reach-narrow-k13_strips-d{distance}-s{seed}' for distance in (12, 24) for seed in (0, 1)
    }


def test_axes_carry_options_and_a_task_may_take_fewer_kernels(study):
    study['tasks']['reach'] |= dict(
        heads={'narrow': {}, 'wide': {'model.decode_head.channels': 128}}, sizes={64: {}}, kernels=['7'], distances=[12]
    )
    cells = list(expand(study))
    assert [cell.name for cell in cells] == [
        f'reach-narrow-k7-{head}-64-d12-s{seed}' for seed in (0, 1) for head in ('narrow', 'wide')
    ]
    assert cells[1].options['model.decode_head.channels'] == 128
    assert 'model.decode_head.channels' not in cells[0].options


def test_configs_differ_in_the_kernel_alone(study, tmp_path):
    cells = {cell.name: cell for cell in expand(study)}
    small = build_cell_config(cells['reach-narrow-k7-d12-s0'], tmp_path).to_dict()
    large = build_cell_config(cells['reach-narrow-k13_strips-d12-s0'], tmp_path).to_dict()
    assert small['model']['backbone'].pop('kernel_sizes') == [7, 7, 7, 7]
    assert large['model']['backbone'].pop('kernel_sizes') == [13, 13, 13, 13]
    assert (small['model']['backbone'].pop('decompose'), large['model']['backbone'].pop('decompose')) == (False, True)
    assert small.pop('work_dir') != large.pop('work_dir')
    assert small == large


def test_plan_writes_data_and_configs_that_stand_alone(study, tmp_path):
    study['kernels'].pop('13 strips')
    study['tasks']['reach']['distances'] = [24]
    cells = write_plan(study, tmp_path)
    assert [cell.name for cell in cells] == ['reach-narrow-k7-d24-s0', 'reach-narrow-k7-d24-s1']
    assert (tmp_path / 'data/reach_12/images/train/000001.png').is_file()

    cfg = Config.fromfile(tmp_path / 'cells' / cells[-1].name / 'config.py')
    assert cfg.randomness.seed == 1
    assert cfg.train_cfg.max_iters == 3
    assert cfg.train_dataloader.dataset.data_root == f'{tmp_path}/data/reach_24'
    assert cfg.model.backbone.out_indices == (0,)

    # The same plan again changes nothing, and another plan is refused before it overwrites anything.
    assert write_plan(study, tmp_path) == cells
    study['tasks']['reach']['options']['train_cfg.max_iters'] = 4
    with pytest.raises(UserError, match='is of another plan'):
        write_plan(study, tmp_path)
    assert Config.fromfile(tmp_path / 'cells' / cells[0].name / 'config.py').train_cfg.max_iters == 3


@pytest.mark.parametrize('path', STUDIES, ids=lambda path: path.stem)
def test_studies_of_this_repository(path, tmp_path):
    """One cell of every task, head and kernel builds, and its heads read what its backbone returns."""
    cells = {(cell.task, cell.head, cell.kernel): cell for cell in expand(read_study(path))}
    for cell in cells.values():
        cfg = build_cell_config(cell, tmp_path)
        model = on_meta_or_cpu(lambda cfg=cfg: build_model(cfg))

        head = getattr(model, 'decode_head', None)
        if head is not None:
            indices = [head.in_index] if isinstance(head.in_index, int) else head.in_index
            widths = [head.in_channels] if isinstance(head.in_channels, int) else head.in_channels
            assert list(widths) == [model.backbone.out_channels[index] for index in indices]


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda s: s.pop('kernels'), 'lacks kernels'),
        (lambda s: s.update(kernel={}), 'unknown kernel; known are'),
        (lambda s: s['tasks']['reach'].update(kind='depth'), "kind must be one of .*, got 'depth'"),
        (lambda s: s['tasks']['reach'].update(kernels=['9']), 'no kernel is called 9'),
        (lambda s: s['tasks']['reach'].pop('config'), 'task reach lacks config'),
        (lambda s: s['kernels'].update({'9': dict(decompose=True)}), 'kernel 9 lacks kernel_sizes'),
        (lambda s: s.update(upstream='imagenet'), "upstream must be one of reach, got 'imagenet'"),
    ],
)
def test_what_is_wrong_is_named(study, change, message, tmp_path):
    change(study)
    path = tmp_path / 'study.yml'
    path.write_text(yaml.safe_dump(study))
    with pytest.raises(UserError, match=message):
        read_study(path)


def test_data_that_cannot_be_created_are_named(study, tmp_path):
    study['data']['reach_12']['distance'] = 500
    with pytest.raises(UserError, match='data reach_12: distance must be in'):
        write_plan(study, tmp_path)


def test_braces_without_a_meaning_are_named(study, tmp_path):
    study['tasks']['reach']['options']['val_dataloader.dataset.data_root'] = '{folder}/reach'
    with pytest.raises(UserError, match=r"stand for \{distance\}, \{data\}, got '\{folder\}/reach'"):
        write_plan(study, tmp_path)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (
            lambda s: s['kernels']['7'].update(kernel_size=7),
            "k7-d12-s0: its model cannot (?s:.*) argument 'kernel_size'",
        ),
        (lambda s: s['kernels']['13 strips'].update(kernel_sizes=[12] * 4), 'k13_strips.*: its model .* odd'),
        (lambda s: s['families']['narrow'].update(type='lkdense.Slack'), 'its model cannot be built: .*Slack'),
        (
            lambda s: s['tasks']['reach']['options'].update({'model.decode_head.in_channels': 83}),
            'built: assert self.in_channels == self.channels',
        ),
    ],
)
def test_a_model_that_cannot_be_built_is_refused_before_anything_is_written(study, tmp_path, change, message):
    change(study)
    with pytest.raises(UserError, match=message):
        write_plan(study, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_a_model_that_does_not_build_on_the_meta_device_is_built_on_the_cpu(study, tmp_path):
    study['tasks'] = {'scenes': dict(kind='segmentation', config='upernet_swin_t_ade20k')}
    study['kernels'].pop('13 strips')
    study['families'] = {'swin': dict(type='mmseg.SwinTransformer')}
    study['kernels'] = {'7': dict(window_size=7)}
    assert len(write_plan(study, tmp_path)) == 2


def test_a_config_that_does_not_exist_is_named(study, tmp_path):
    study['tasks']['reach']['config'] = 'studies/fcn_stage1_reech'
    with pytest.raises(UserError, match='the nearest are studies/fcn_stage1_reach'):
        write_plan(study, tmp_path)
    assert read_config('studies/fcn_stage1_reach').train_cfg.max_iters == 100


def test_studies_have_names(tmp_path):
    assert read_study('reach_small')['seeds'] == [0, 1]
    with pytest.raises(UserError, match='no study rich; those of lkdense are camvid_nuclei,'):
        read_study('rich')
