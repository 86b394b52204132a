"""Print a completion script for bash or zsh: Tab completes verbs, options, names of configs, and files.

Example: lkdense completion bash > ~/.local/share/bash-completion/completions/lkdense
         lkdense completion zsh > ~/.zfunc/_lkdense
The script holds everything it needs, so completing starts no Python; write it anew after an update. With the package
bash-completion installed, bash reads it from that folder; without it, put `source FILE` into ~/.bashrc. zsh reads it
from any folder in $fpath. This verb needs the package shtab: pip install 'lkdense[completion]'.
"""

import argparse
from importlib import import_module
from pathlib import Path

from ..config import config_names
from ..errors import UserError
from . import COMMANDS

SHELLS = ('bash', 'zsh')
BASH = """
_lkdense_config_or_file() {{
  compgen -W '{names}' -- "$1"
  compgen -f -X '!*.py' -- "$1"
  compgen -d -- "$1"
}}
"""
ZSH = """
_lkdense_config_or_file() {{
  local -a names=({names})
  _alternative "configs:config of lkdense:($names)" 'files:config:_files -g "*.py"'
}}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('shell', choices=SHELLS, help='the shell that reads the script')


def main(args: argparse.Namespace) -> None:
    try:
        import shtab
    except ModuleNotFoundError:
        raise UserError("shtab is not installed: pip install 'lkdense[completion]'") from None

    names = ' '.join(config_names())
    config = dict.fromkeys(SHELLS, '_lkdense_config_or_file')
    config['preamble'] = dict(bash=BASH.format(names=names), zsh=ZSH.format(names=names))
    print(shtab.complete(build_parser(config, shtab.FILE), args.shell))


def build_parser(config: dict, file: dict) -> argparse.ArgumentParser:
    """Return one parser of all verbs, with shtab's completers ``config`` and ``file`` on their arguments."""
    whole = argparse.ArgumentParser(prog='lkdense')
    whole.add_argument('--version', action='store_true', help="the package's version")
    verbs = whole.add_subparsers()

    for verb, (module, line) in COMMANDS.items():
        command = import_module(f'.{module}', __package__)
        command.add_arguments(verbs.add_parser(verb, help=line))

    add_completers(whole, config, file)
    return whole


def add_completers(parser: argparse.ArgumentParser, config: dict, file: dict) -> None:
    """Mark the arguments of a parser, and of the verbs below it, that are configs or may be files."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                add_completers(inner, config, file)
        elif action.dest == 'config':
            action.complete = config
        elif takes_a_path(action):
            action.complete = file


def takes_a_path(action: argparse.Action) -> bool:
    """Return whether the argument may be a path: it is no number, no choice of some words, no flag and no KEY=VALUE."""
    text = action.type in (None, str, Path) and not action.choices and action.nargs != 0
    return text and action.metavar != 'KEY=VALUE'
