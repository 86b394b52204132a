"""The options that commands share, and what comes of them: a config, or the models that a command compares."""

import argparse
import os
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config, DictAction

from ..checkpoints.file import TRUST_OPTION, trust_checkpoints
from ..config import drop_pretrained, read_config
from ..errors import UserError

CONFIG_HELP = "a path, or the name of one of lkdense's own"
# The name of weights that no checkpoint was given for.
RANDOM = 'random'


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add the config, the changes to it, and whether to trust checkpoints: the same for all commands."""
    parser.add_argument('config', metavar='CONFIG', help=CONFIG_HELP)
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        metavar='KEY=VALUE',
        help='override anything in the config: train_cfg.max_iters=100 model.backbone.drop_path_rate=0.1 key="[1,2]"',
    )
    add_trust_option(parser)


def add_trust_option(parser: argparse.ArgumentParser) -> None:
    """Add whether checkpoints may hold more than tensors and plain values."""
    parser.add_argument(
        TRUST_OPTION, action='store_true', help='unpickle any object that a checkpoint holds, which can run any code'
    )


def add_runner_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that training and testing have in common."""
    add_config_options(parser)
    parser.add_argument(
        '--work-dir', metavar='DIR', help="logs and checkpoints (default: work_dirs/ and CONFIG's name)"
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='what started the processes (pytorch: torchrun); none: there is only this one (default: none)',
    )


def load_config(args: argparse.Namespace) -> Config:
    """Read the config, apply the options of :func:`add_config_options`, and register what its scope brings.

    Raises:
        UserError: there is no such config.
    """
    if args.trust_checkpoint:
        trust_checkpoints()

    return read_config(args.config, args.cfg_options)


def load_runner_config(args: argparse.Namespace) -> Config:
    """Read the config and apply the options of :func:`add_runner_options`.

    Raises:
        UserError: there is no such config, or the launcher did not start this process.
    """
    if args.launcher == 'pytorch' and 'RANK' not in os.environ:
        raise UserError('--launcher pytorch is for processes that torchrun has started; see tools/dist_train.sh')

    cfg = load_config(args)
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or str(Path('work_dirs', Path(args.config).stem))

    return cfg


class ModelSpec(NamedTuple):
    """A model that was asked for: a config, its weights or None for random ones, and changes of the config."""

    config: str
    checkpoint: str | None
    options: dict

    @property
    def name(self) -> str:
        """The config's name and its changes, such as ``upernet_convnext_t_ade20k, kernel_sizes=[31,29,27,13]``."""
        changes = []
        for key, value in self.options.items():
            last = key.split('.')[-1]
            changes.append(f'{last}={value}'.replace(' ', ''))

        return ', '.join([Path(self.config).stem, *changes])

    @property
    def weights(self) -> str:
        """The checkpoint's file and the folder that it is in, such as ``seed_1/iter_160000``; or ``random``."""
        if self.checkpoint is None:
            return RANDOM

        return '/'.join(Path(self.checkpoint).with_suffix('').parts[-2:])

    def read(self) -> Config:
        """Read the config; without a checkpoint it names no pretrained weights either."""
        cfg = read_config(self.config, self.options)
        if self.checkpoint is None:
            drop_pretrained(cfg.model)

        return cfg


def add_models_options(parser: argparse.ArgumentParser) -> None:
    """Add several models in one call, each by its config, with or without a checkpoint and with changes of its own."""
    parser.add_argument('config', metavar='CONFIG', help=CONFIG_HELP)
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
    add_trust_option(parser)


def model_specs(args: argparse.Namespace) -> list[ModelSpec]:
    """Return the models that the options of :func:`add_models_options` name.

    Raises:
        UserError: an option names more than a config, a checkpoint and changes, or two models have the same names.
    """
    if args.trust_checkpoint:
        trust_checkpoints()

    first = [args.config, *args.cfg_options]
    if args.checkpoint:
        first.insert(1, args.checkpoint)

    specs = [_parse_spec(words) for words in (first, *args.others)]

    names = [(spec.name, spec.weights) for spec in specs]
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise UserError(f'two models have the same names: {" with weights ".join(repeated[0])}')

    return specs


def _parse_spec(words: list[str]) -> ModelSpec:
    changes = [word for word in words if '=' in word and not Path(word).exists()]
    names = [word for word in words if word not in changes]
    if not 1 <= len(names) <= 2:
        raise UserError(f'a model is a config and at most one checkpoint, got {" ".join(words)}')

    options = {}
    if changes:
        parser = argparse.ArgumentParser()
        parser.add_argument('--options', nargs='*', action=DictAction)
        options = parser.parse_args(['--options', *changes]).options

    return ModelSpec(names[0], names[1] if len(names) == 2 else None, options)
