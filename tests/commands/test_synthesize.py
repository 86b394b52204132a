"""``lkdense synthesize`` as a user calls it."""

from pathlib import Path

import pytest

from lkdense.commands import main
from lkdense.data.synthetic import LAYOUTS


@pytest.fixture
def synthesize(capsys):
    """Call the command and return what it prints."""

    def synthesize(*arguments):
        main(['synthesize', *map(str, arguments)])
        return capsys.readouterr().out

    return synthesize


@pytest.mark.parametrize('layout', LAYOUTS)
def test_it_says_what_it_wrote_and_which_data_root_to_put_in_a_config(layout, synthesize, tmp_path):
    arguments = ('--layout', layout, '--images', 6, '--size', 48, 64, '--classes', 2, '--seed', 3, '--out', tmp_path)
    output = synthesize(*arguments, '--val-fraction', 0.5)
    first, second = LAYOUTS[layout].classes[:2]
    assert 'written, 3 images for training, 3 for validation' in output
    assert f'classes: {first}, {second}\n' in output

    data_root = Path(output.split("data_root = '")[1].split("'")[0])
    assert data_root.is_dir() and data_root.is_relative_to(tmp_path)

    assert 'is there already' in synthesize(*arguments, '--val-fraction', 0.5)
    with pytest.raises(SystemExit, match='another synthetic set'):
        synthesize(*arguments)
    assert 'written, 5 images for training' in synthesize(*arguments, '--overwrite')


def test_a_wrong_argument_ends_in_one_sentence(synthesize, tmp_path):
    with pytest.raises(SystemExit, match=r'^lkdense synthesize: images must be at least 2 .*, got 1$'):
        synthesize('--layout', 'coco', '--images', 1, '--out', tmp_path)
