"""MMEngine's Runner, also for several processes on CPUs, and with plain words for a checkpoint that does not fit."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pickle import UnpicklingError

import torch
from mmengine.device import get_device
from mmengine.hooks import Hook
from mmengine.model import revert_sync_batchnorm
from mmengine.runner import Runner
from torch import nn

from ..checkpoints.file import explain, tensors_only
from ..checkpoints.keys import unwrap
from ..config import pretrained_paths
from ..errors import UserError
from ..models import check_complete, unwrap_model


def has_accelerator() -> bool:
    """Return whether there is anything faster than a CPU, as MMEngine sees it."""
    return get_device() != 'cpu'


class ToolRunner(Runner):
    """The runner of tools/train.py and tools/test.py."""

    def setup_env(self, env_cfg: dict) -> None:
        """Set up processes and environment; without a GPU, processes talk through gloo."""
        if self.distributed and not has_accelerator() and not torch.distributed.is_initialized():
            if self.launcher != 'pytorch':
                raise UserError(f'--launcher {self.launcher} needs a GPU; on CPUs use torchrun and --launcher pytorch')
            torch.distributed.init_process_group('gloo')
        if self.launcher == 'mpi':
            # MMEngine asks for it under every launcher, but sets it under the others only
            os.environ.setdefault('LOCAL_RANK', os.environ['OMPI_COMM_WORLD_LOCAL_RANK'])
        super().setup_env(env_cfg)

    def set_randomness(self, seed: int | None, diff_rank_seed: bool = False, deterministic: bool = False) -> None:
        """Seed all generators."""
        if deterministic:
            # without it cuBLAS is not deterministic; it is read when the first matrices are multiplied
            os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
        super().set_randomness(seed, diff_rank_seed, deterministic)
        if deterministic:
            # the cross entropy of maps has no deterministic kernel for GPUs; this warns where MMEngine's setting dies
            torch.use_deterministic_algorithms(True, warn_only=True)

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Wrap the model for distributed training; SyncBN needs GPUs and is BN where there is one process.

        ``compile_backbone`` in the config, True or the options of ``torch.compile``, compiles the backbone.
        """
        if options := self.cfg.get('compile_backbone'):
            # in place: the names of the weights stay
            unwrap_model(model).backbone.compile(**({} if options is True else options))

        on_cpu = not has_accelerator()
        if on_cpu or self.world_size == 1:
            model = revert_sync_batchnorm(model)
        if on_cpu and self.distributed:
            defaults = dict(type='MMDistributedDataParallel', broadcast_buffers=False)
            defaults['find_unused_parameters'] = self.cfg.get('find_unused_parameters', False)
            model_wrapper_cfg = {**defaults, **(model_wrapper_cfg or {}), 'device_ids': None}

        return super().wrap_model(model_wrapper_cfg, model)

    def load_checkpoint(self, filename: str, *args, **kwargs) -> dict:
        """Load a checkpoint.

        Raises:
            UserError: it does not fit the model, or holds more than tensors and plain values.
        """
        with _named('checkpoint', filename), tensors_only():
            checkpoint = super().load_checkpoint(filename, *args, **kwargs)
        # MMEngine runs this text as a program when it resumes, to ask it for the number of GPUs
        checkpoint.get('meta', {}).pop('config', None)
        return checkpoint

    def _init_model_weights(self) -> None:
        with _named('init_cfg', ', '.join(pretrained_paths(self.cfg.model))), tensors_only():
            super()._init_model_weights()


class CompleteCheckpointHook(Hook):
    """Refuse a segmentor's or detector's checkpoint that would leave a part of the model as it was initialised.

    MMEngine only warns, which suits fine-tuning, but neither a test nor a resumed training. The checkpoint of a bare
    backbone is let through. A backbone of lkdense does its own checking while it is loaded.
    """

    priority = 'LOWEST'  # after the hooks that put the weights where they are loaded from

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        check_complete(unwrap_model(runner.model), unwrap(checkpoint))


@contextmanager
def _named(role: str, path: str) -> Iterator[None]:
    try:
        yield
    except UnpicklingError as error:
        raise UserError(f'{role}: {explain(path, error)}') from error
    except (ValueError, FileNotFoundError) as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise UserError(f'{role} {path}: {"; ".join(lines).replace(":;", ":")}') from error
