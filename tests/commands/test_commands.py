"""The command line: every verb has a help with an example that its own parser takes."""

import argparse
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from lkdense import __version__
from lkdense.commands import COMMANDS, main

ROOT = Path(__file__).resolve().parents[2]


def last_words(arguments: list[str], capsys) -> tuple[int, str]:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    printed = capsys.readouterr()
    return caught.value.code, printed.out + printed.err


def examples(verb: str) -> list[str]:
    text = import_module(f'lkdense.commands.{COMMANDS[verb][0]}').__doc__
    return re.findall(r'^(?:Example:|        ) (lkdense .*)$', text, flags=re.MULTILINE)


@pytest.mark.parametrize('verb', COMMANDS)
def test_help_shows_what_a_verb_does_and_an_example(verb, capsys):
    code, text = last_words([verb, '--help'], capsys)
    assert code == 0
    assert f'usage: lkdense {verb} ' in text
    assert examples(verb) and all(example in text for example in examples(verb))


@pytest.mark.parametrize('verb', COMMANDS)
def test_the_examples_are_ones_that_the_verb_takes(verb):
    command = import_module(f'lkdense.commands.{COMMANDS[verb][0]}')
    for example in examples(verb):
        program, name, *arguments = shlex.split(example.split(' > ')[0])
        assert (program, name) == ('lkdense', verb)
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        parser.parse_args(arguments)


def test_every_verb_is_in_the_help(capsys):
    code, text = last_words(['--help'], capsys)
    assert code == 0
    for verb, (_, line) in COMMANDS.items():
        assert re.search(rf'^  {verb} +{re.escape(line)}$', text, flags=re.MULTILINE)


@pytest.mark.parametrize('arguments', [[], ['trian'], ['--shape']])
def test_what_is_no_verb_is_refused(arguments, capsys):
    code, text = last_words(arguments, capsys)
    assert code == 2
    assert 'usage: lkdense' in text


def test_an_error_of_the_user_begins_with_the_command(capsys):
    code, _ = last_words(['train', 'no_such_config'], capsys)
    assert code.startswith('lkdense train: ')


def test_version(capsys):
    assert last_words(['--version'], capsys) == (0, f'lkdense {__version__}\n')


def test_tools_holds_the_two_verbs_that_people_expect_there():
    files = sorted((ROOT / 'tools').glob('*.py'))
    assert [path.stem for path in files] == ['test', 'train']
    for path in files:
        assert f"    run('{path.stem}')\n" in path.read_text()

    done = subprocess.run([sys.executable, ROOT / 'tools/train.py', '--help'], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 'usage: train.py ' in done.stdout and examples('train')[0] in done.stdout
