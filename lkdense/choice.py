"""The models that a command compares in one call: options for them, and what they name."""

import argparse
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config, DictAction

from . import launch
from .checkpoints.file import trust_checkpoints

RANDOM = 'random'  # what weights without a checkpoint are called


class Choice(NamedTuple):
    """A model that was asked for: of a config, with weights or None for random ones, and changes of the config."""

    config: str
    checkpoint: str | None
    options: dict

    @property
    def name(self) -> str:
        """The config's name and what was changed, as ``upernet_convnext_t_ade20k, kernel_sizes=[31,29,27,13]``."""
        changes = (f'{key.split(".")[-1]}={value}'.replace(' ', '') for key, value in self.options.items())
        return ', '.join([Path(self.config).stem, *changes])

    @property
    def weights(self) -> str:
        """The checkpoint's file and the folder that it is in, as ``seed_1/iter_160000``; or ``random``."""
        return '/'.join(Path(self.checkpoint).with_suffix('').parts[-2:]) if self.checkpoint else RANDOM

    def read(self) -> Config:
        """Read the config; without a checkpoint it names no pretrained weights either."""
        cfg = launch.read_config(self.config, self.options)
        if self.checkpoint is None:
            launch.drop_pretrained(cfg.model)
        return cfg


def add_models_options(parser: argparse.ArgumentParser) -> None:
    """Several models in one call, each by its config, with or without a checkpoint and with changes of its own."""
    parser.add_argument('config', metavar='CONFIG', help="a path, or the name of one of lkdense's own")
    parser.add_argument('checkpoint', nargs='?', metavar='CHECKPOINT', help='its weights; random ones without it')
    parser.add_argument('--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='override anything in CONFIG')
    parser.add_argument(
        '--and',
        dest='others',
        nargs='+',
        action='append',
        default=[],
        metavar=('CONFIG', 'CHECKPOINT|KEY=VALUE'),
        help='another model, with or without weights and changes; may be repeated',
    )
    launch.add_trust_option(parser)


def chosen_models(args: argparse.Namespace) -> list[Choice]:
    """Return the models that the options of :func:`add_models_options` name.

    Raises:
        LaunchError: an option names more than a config, a checkpoint and changes, or two models have the same names.
    """
    if args.trust_checkpoint:
        trust_checkpoints()
    first = [args.config, *([args.checkpoint] if args.checkpoint else []), *args.cfg_options]
    choices = [_choice(words) for words in (first, *args.others)]
    names = [(choice.name, choice.weights) for choice in choices]
    if twice := [name for name in names if names.count(name) > 1]:
        raise launch.LaunchError(f'two models have the same names: {" with weights ".join(twice[0])}')
    return choices


def _choice(words: list[str]) -> Choice:
    changes = [word for word in words if '=' in word and not Path(word).exists()]
    names = [word for word in words if word not in changes]
    if not 1 <= len(names) <= 2:
        raise launch.LaunchError(f'a model is a config and at most one checkpoint, got {" ".join(words)}')
    parser = argparse.ArgumentParser()
    parser.add_argument('--options', nargs='*', action=DictAction, default={})
    options = parser.parse_args(['--options', *changes]).options if changes else {}
    return Choice(names[0], names[1] if len(names) == 2 else None, options)
