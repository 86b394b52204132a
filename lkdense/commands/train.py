"""Train the segmentor, detector or classifier of a config.

Example: lkdense train configs/upernet_slak_b_ade20k.py --work-dir work_dirs/slak_b --resume
"""

import argparse

from mmengine.config import Config
from mmengine.runner import FlexibleRunner, find_latest_checkpoint

from ..config import pretrained_paths
from ..errors import UserError
from ..training.runner import CompleteCheckpointHook, ToolRunner, has_accelerator
from ._options import add_runner_options, load_runner_config
from ._preflight import check_checkpoint, check_files

# Parts of a model with at least so many parameters are sharded by themselves.
SHARDED_FROM = 10_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_runner_options(parser)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='PATH',
        help='go on from this checkpoint; auto, or no PATH: from the last one in the work dir, if there is one',
    )

    parser.add_argument('--amp', action='store_true', help='automatic mixed precision (GPUs only)')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help="scale the learning rate with the batch over all processes; the config's is for base_batch_size images",
    )
    parser.add_argument('--seed', type=int, help="seed of all random numbers (default: the config's)")
    parser.add_argument('--deterministic', action='store_true', help='deterministic kernels only, where there are any')

    parser.add_argument(
        '--strategy',
        choices=['ddp', 'fsdp'],
        default='ddp',
        help='how processes share a model: a copy in each, or shards, which need GPUs (default: ddp)',
    )


def main(args: argparse.Namespace) -> None:
    cfg = load_runner_config(args)
    for phase in ('train', 'val'):
        check_files(cfg, phase)

    choose_start(cfg, args.resume)
    choose_precision(cfg, args.amp)
    if args.auto_scale_lr:
        scale_lr(cfg)
    if args.seed is not None:
        cfg.randomness = {**cfg.get('randomness', {}), 'seed': args.seed}
    if args.deterministic:
        cfg.randomness = {'seed': None, **cfg.get('randomness', {}), 'deterministic': True}

    log_to_tensorboard(cfg)

    if args.strategy == 'fsdp':
        shard(cfg).train()
        return

    runner = ToolRunner.from_cfg(cfg)
    if cfg.resume:
        runner.register_hook(CompleteCheckpointHook())

    runner.train()


def shard(cfg: Config) -> FlexibleRunner:
    """Return a runner that splits parameters, gradients and optimizer over the processes."""
    if not has_accelerator() or cfg.launcher == 'none':
        raise UserError(
            '--strategy fsdp needs a launcher and several processes with a GPU each: MMEngine puts the shard of '
            'process k on GPU k'
        )

    for hook in cfg.get('custom_hooks') or []:
        if hook['type'].endswith(('EMAHook', 'SparseTrainingHook')):
            raise UserError(f'--strategy fsdp has no whole weights for {hook["type"]}')

    policy = dict(type='torch.distributed.fsdp.wrap.size_based_auto_wrap_policy', min_num_params=SHARDED_FROM)
    cfg.strategy = dict(type='FSDPStrategy', model_wrapper=dict(auto_wrap_policy=policy))

    return FlexibleRunner.from_cfg(cfg)


def choose_start(cfg: Config, resume: str | None) -> None:
    """Resume from a checkpoint, load one, or initialise: whichever it is, the file must be there."""
    checkpoint = find_latest_checkpoint(cfg.work_dir) if resume == 'auto' else resume
    if checkpoint:
        cfg.load_from, cfg.resume = checkpoint, True

    if cfg.get('load_from'):
        check_checkpoint(cfg.load_from, '--resume' if checkpoint else 'load_from')
    for path in pretrained_paths(cfg.model):
        check_checkpoint(path, 'init_cfg')


def choose_precision(cfg: Config, amp: bool) -> None:
    """Train in mixed precision if ``amp`` or the config asks for it and there is a GPU."""
    wrapper = cfg.optim_wrapper
    kind = wrapper.get('type', 'OptimWrapper')
    if amp and not has_accelerator():
        raise UserError('--amp needs a GPU: mixed precision in MMEngine does not run on CPUs')
    if amp and kind not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise UserError(f'--amp replaces the OptimWrapper of a config, but this one has optim_wrapper.type={kind!r}')

    if amp:
        wrapper.type = 'AmpOptimWrapper'
        wrapper.setdefault('loss_scale', 'dynamic')
    elif kind == 'AmpOptimWrapper' and not has_accelerator():
        print('without a GPU this trains in float32, although the config asks for mixed precision')
        wrapper.type = 'OptimWrapper'
        for option in ('loss_scale', 'dtype', 'use_fsdp'):
            wrapper.pop(option, None)


def scale_lr(cfg: Config) -> None:
    scaling = cfg.get('auto_scale_lr') or {}
    if not scaling.get('base_batch_size'):
        raise UserError(
            f'--auto-scale-lr needs to know for how many images the learning rate is meant, but {cfg.filename} has no '
            'auto_scale_lr=dict(base_batch_size=...)'
        )

    cfg.auto_scale_lr = {**scaling, 'enable': True}


def log_to_tensorboard(cfg: Config) -> None:
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError:
        return

    visualizer = cfg.setdefault('visualizer', dict(type='Visualizer'))
    backends = visualizer.setdefault('vis_backends', [])
    if not any(backend.type == 'TensorboardVisBackend' for backend in backends):
        backends.append(dict(type='TensorboardVisBackend'))
