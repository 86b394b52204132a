"""The command line: ``lkdense VERB ...``; ``tools/train.py`` and ``tools/test.py`` are two of the verbs.

A command is a module of this package. Its docstring is its help, with an example; ``add_arguments(parser)`` says what
it takes and ``main(args)`` does it. To add one: the module, and a line in ``COMMANDS``.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

import torch

from .. import __version__
from ..errors import UserError

# Verb: module of this package, and its line in the help.
COMMANDS = {
    'train': ('train', 'train the model of a config'),
    'test': ('test', 'evaluate a checkpoint: mIoU, AP or accuracy'),
    'predict': ('predict', 'segment or detect in images, folders and videos'),
    'browse': ('browse', 'what the data loader feeds, drawn with its labels'),
    'serve': ('serve', 'a page that shows what models say of an image'),
    'check-data': ('check_data', 'what is wrong with the data of a config'),
    'synthesize': ('synthesize', 'small synthetic data in the layouts of real sets'),
    'erf': ('erf', 'effective receptive fields, side by side'),
    'shape-bias': ('shape_bias', 'whether a model decides by shape or by texture'),
    'complexity': ('complexity', 'parameters, multiply-adds, seconds and memory'),
    'study': ('study', 'kernel-size studies: plan, run, report'),
    'sparsity': ('sparsity', 'how sparse a checkpoint is'),
    'convert': ('convert', "the authors' checkpoint under our names"),
    'deploy': ('deploy', 'merge the parallel branches in a checkpoint'),
    'export': ('export', 'an ONNX graph of a segmentor or a backbone'),
    'completion': ('completion', 'a completion script for bash or zsh'),
    'swap': ('swap', 'another backbone in a config of mmseg or mmdet'),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run ``lkdense VERB ...``; only the module of that verb is imported."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if argv and argv[0] in COMMANDS:
        run(argv[0], argv[1:], prog=f'lkdense {argv[0]}')
        return

    width = max(map(len, COMMANDS))
    lines = [f'  {verb:{width}}  {line}' for verb, (_, line) in COMMANDS.items()]
    parser = argparse.ArgumentParser(
        prog='lkdense',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description='Large-kernel backbones for dense prediction.',
        epilog='\n'.join(['verbs:', *lines, '', 'lkdense VERB --help tells more of each, with an example']),
    )
    parser.add_argument('--version', action='version', version=f'lkdense {__version__}')
    parser.add_argument('verb', metavar='VERB', choices=COMMANDS, help='one of those below')
    parser.parse_args(argv[:1])


def run(verb: str, argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Run one command with the arguments ``argv``, by default the process's."""
    command = import_module(f'.{COMMANDS[verb][0]}', __name__)
    parser = argparse.ArgumentParser(
        prog=prog, description=command.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_arguments(parser)

    exit_on_user_error(lambda: command.main(parser.parse_args(argv)), parser.prog)


def exit_on_user_error(main: Callable[[], None], name: str) -> None:
    """Call ``main``; an error that is the user's to mend ends the process with exit code 1 and that one sentence.

    Args:
        main: what the program does.
        name: the program's name, with which the sentence begins.
    """
    try:
        main()
    except UserError as error:
        raise SystemExit(f'{name}: {error}') from None
    finally:
        # A process that ends while the threads of gloo still run may abort.
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
