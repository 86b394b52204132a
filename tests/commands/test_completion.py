"""Tab in a real shell: the script that ``lkdense completion`` prints, in an interactive bash on a pseudo-terminal."""

import os
import pty
import re
import shutil
import sys
from pathlib import Path

import pytest

from lkdense.commands import COMMANDS, main

# Words before Tab: the words after it.
TYPED = {
    'lkdense syn': 'lkdense synthesize',
    'lkdense train upernet_slak_b_ad': 'lkdense train upernet_slak_b_ade20k',
    'lkdense train examples/faster': 'lkdense train examples/faster_rcnn_slak_pico_bccd',
    'lkdense train my_con': 'lkdense train my_config.py',
    'lkdense train my_config.py --work-': 'lkdense train my_config.py --work-dir',
    'lkdense train my_config.py --work-dir run': 'lkdense train my_config.py --work-dir runs/',
    'lkdense train my_config.py --launcher sl': 'lkdense train my_config.py --launcher slurm',
    'lkdense train my_config.py --cfg-options a=1 b=2 --det': (
        'lkdense train my_config.py --cfg-options a=1 b=2 --deterministic'
    ),
    'lkdense test my_config.py iter_1': 'lkdense test my_config.py iter_160000.pth',
    'lkdense study plan my_st': 'lkdense study plan my_study.yml',
    'lkdense synthesize --layout ci': 'lkdense synthesize --layout cityscapes',
}


@pytest.fixture
def script(tmp_path, capsys):
    """Write the script of a shell and return its path."""

    def write(shell: str) -> Path:
        main(['completion', shell])
        path = tmp_path / f'completion.{shell}'
        path.write_text(capsys.readouterr().out)
        return path

    return write


def converse(shell: list[str], folder: Path, lines: list[str]) -> str:
    """Type ``lines`` into an interactive shell in ``folder``; returns all that the terminal showed."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execve(shutil.which(shell[0]), shell, {'PATH': os.environ['PATH'], 'TERM': 'dumb', 'PS1': '', 'HOME': '/'})

    os.write(terminal, '\n'.join([*lines, 'exit', '']).encode())
    shown = b''

    try:
        while more := os.read(terminal, 65536):
            shown += more
    except OSError:
        # Linux ends a terminal like this once its other side is closed.
        pass

    os.waitpid(child, 0)
    os.close(terminal)

    return shown.decode().replace('\r', '')


@pytest.mark.skipif(sys.platform != 'linux' or not shutil.which('bash'), reason='takes bash')
def test_bash_completes_verbs_options_configs_and_files(script, tmp_path):
    source = script('bash')
    for name in ('my_config.py', 'my_study.yml', 'iter_160000.pth'):
        (tmp_path / name).touch()
    (tmp_path / 'runs').mkdir()
    # Ctrl-A goes to the start of the line; echo there makes the shell print what the line has become.
    lines = [f'source {source}', *(f'{typed}\t\x01echo "said:" \n' for typed in TYPED)]
    shown = converse(['bash', '--norc', '--noprofile', '-i'], tmp_path, lines)
    said = [line.removeprefix('said: ').strip() for line in shown.splitlines() if line.startswith('said: ')]
    assert said == list(TYPED.values())


def test_every_verb_is_in_the_script_of_either_shell(script):
    for shell in ('bash', 'zsh'):
        text = script(shell).read_text()
        assert all(re.search(rf'\b{verb}\b', text) for verb in COMMANDS)
        assert 'upernet_slak_b_ade20k' in text


def test_without_shtab_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'shtab', None)
    with pytest.raises(SystemExit, match=r"lkdense completion: shtab is not installed: pip install 'lkdense"):
        main(['completion', 'bash'])
