"""Configs read small real data sets with nothing but their paths changed, where LKDENSE_DATA names a folder of them."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope
from processes import run_command

ROOT = Path(__file__).parents[2]
# Each config with its data_root below LKDENSE_DATA, and the numbers of images for training and testing.
CASES = {
    'upernet_slak_b_ade20k': ('ade20k_sample/ADEChallengeData2016', 3, 3),
    'examples/upernet_slak_pico_camvid': ('camvid', 367, 233),
    'cascade_mask_rcnn_slak_t_coco': ('coco_free', None, 66),
    'examples/cascade_mask_rcnn_slak_pico_nuclei': ('nuclei', 200, 60),
    'examples/faster_rcnn_slak_pico_bccd': ('bccd', 205, 72),
}


@pytest.fixture(params=CASES, ids=lambda name: Path(name).name)
def case(request, real_data):
    root, train, test = CASES[request.param]
    if not (real_data / root).is_dir():
        pytest.skip(f'{root} is not in LKDENSE_DATA')
    return ROOT / 'configs' / f'{request.param}.py', real_data / root, train, test


def test_the_pipeline_reads_every_kind_of_annotation(case):
    path, root, *lengths = case
    for package in ('mmseg', 'mmdet'):
        pytest.importorskip(f'{package}.utils').register_all_modules(init_default_scope=False)

    cfg = Config.fromfile(path)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        for loader, length in zip((cfg.train_dataloader, cfg.test_dataloader), lengths):
            dataset = DATASETS.build(dict(loader.dataset, data_root=str(root)))
            assert length is None or len(dataset) == length

            sample = dataset[0]['data_samples']
            classes = len(dataset.metainfo['classes'])

            if cfg.default_scope == 'mmseg':
                labels = set(sample.gt_sem_seg.data.unique().tolist())
                assert labels <= {*range(classes), cfg.model.decode_head.get('ignore_index', 255)}
                assert len(labels) > 3
            else:
                instances = sample.gt_instances
                assert len(instances) > 0
                assert set(instances.labels.tolist()) <= set(range(classes))
                assert (instances.bboxes.areas > 0).all()


@pytest.mark.slow
def test_a_full_size_config_trains_with_paths_and_schedule_changed_on_the_command_line(real_data, tmp_path):
    root = real_data / 'ade20k_sample/ADEChallengeData2016'
    options = [
        'train_cfg.max_iters=2',
        'train_cfg.val_interval=2',
        'train_dataloader.batch_size=2',
        f'train_dataloader.dataset.data_root={root}',
        f'val_dataloader.dataset.data_root={root}',
        'val_dataloader.dataset.indices=1',
    ]

    process = run_command(
        ROOT, 'train.py', 'configs/upernet_slak_b_ade20k.py', '--work-dir', tmp_path, '--cfg-options', *options
    )
    assert 'mIoU' in process.stdout
