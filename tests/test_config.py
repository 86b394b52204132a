"""Configs by name, here and in other projects."""

from pathlib import Path

import pytest

import lkdense

CONFIGS = Path(__file__).parents[1] / 'configs'


@pytest.mark.parametrize('name', ['upernet_slak_b_ade20k', 'upernet_slak_b_ade20k.py', '_base_/models/upernet'])
def test_a_name_gives_a_path(name):
    assert lkdense.config_path(name) == str((CONFIGS / name).with_suffix('.py'))


def test_another_project_inherits_one(tmp_path):
    (tmp_path / 'mine.py').write_text(
        f'_base_ = {lkdense.config_path("upernet_slak_b_ade20k")!r}\nmodel = dict(backbone=dict(arch="tiny"))\n'
    )
    cfg = lkdense.config.Config.fromfile(tmp_path / 'mine.py')
    assert cfg.model.backbone.arch == 'tiny'
    assert lkdense.get_config('upernet_slak_b_ade20k').model.backbone.arch == 'base'


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(ValueError, match=r'no config upernet_slak_ade20k among .*upernet_slak_[tsb]_ade20k'):
        lkdense.config_path('upernet_slak_ade20k')
