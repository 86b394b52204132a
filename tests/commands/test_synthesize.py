"""``tools/make_synthetic.py`` as a user calls it."""

import runpy
from pathlib import Path

import pytest

from lkdense.data.synthetic import LAYOUTS

TOOL = Path(__file__).parents[2] / 'tools' / 'make_synthetic.py'


@pytest.fixture
def call(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr('sys.argv', [str(TOOL), *map(str, arguments)])
        runpy.run_path(str(TOOL), run_name='__main__')
        return capsys.readouterr().out

    return call


@pytest.mark.parametrize('layout', LAYOUTS)
def test_it_says_what_it_wrote_and_which_data_root_to_put_in_a_config(layout, call, tmp_path):
    arguments = ('--layout', layout, '--images', 6, '--size', 48, 64, '--classes', 2, '--seed', 3, '--out', tmp_path)
    out = call(*arguments, '--val-fraction', 0.5)
    first, second = LAYOUTS[layout].classes[:2]
    assert 'written, 3 images for training, 3 for validation' in out
    assert f'classes: {first}, {second}\n' in out
    data_root = Path(out.split("data_root = '")[1].split("'")[0])
    assert data_root.is_dir() and data_root.is_relative_to(tmp_path)
    assert 'is there already' in call(*arguments, '--val-fraction', 0.5)

    with pytest.raises(SystemExit, match='another synthetic set'):
        call(*arguments)

    assert 'written, 5 images for training' in call(*arguments, '--overwrite')


def test_a_wrong_argument_ends_in_one_sentence(call, tmp_path):
    with pytest.raises(SystemExit, match=r'^make_synthetic\.py: images must be at least 2 .*, got 1$'):
        call('--layout', 'coco', '--images', 1, '--out', tmp_path)
