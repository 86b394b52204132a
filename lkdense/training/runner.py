"""MMEngine's Runner, also for several processes on CPUs, and with a plain error for a checkpoint that does not fit."""

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
    """Return whether MMEngine finds a device other than the CPU."""
    return get_device() != 'cpu'


class ToolRunner(Runner):
    """The runner of ``lkdense train`` and ``lkdense test``."""

    def setup_env(self, env_cfg: dict) -> None:
        """Set up processes and environment; without a GPU, processes communicate through gloo."""
        if self.distributed and not has_accelerator() and not torch.distributed.is_initialized():
            if self.launcher != 'pytorch':
                raise UserError(f'--launcher {self.launcher} needs a GPU; on CPUs use torchrun and --launcher pytorch')
            torch.distributed.init_process_group('gloo')

        if self.launcher == 'mpi':
            # MMEngine reads this variable under every launcher, but sets it only under the others.
            os.environ.setdefault('LOCAL_RANK', os.environ['OMPI_COMM_WORLD_LOCAL_RANK'])

        super().setup_env(env_cfg)

    def set_randomness(self, seed: int | None, diff_rank_seed: bool = False, deterministic: bool = False) -> None:
        """Seed all generators."""
        if deterministic:
            # cuBLAS needs this to be deterministic; it reads it when the first matrices are multiplied.
            os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')

        super().set_randomness(seed, diff_rank_seed, deterministic)
        if deterministic:
            # The cross entropy of maps has no deterministic kernel for GPUs. MMEngine's setting would raise; a warning
            # will do.
            torch.use_deterministic_algorithms(True, warn_only=True)

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Wrap the model for distributed training; SyncBN becomes BN on CPUs and in a single process.

        ``compile_backbone`` in the config, True or the options of ``torch.compile``, compiles the backbone.
        """
        options = self.cfg.get('compile_backbone')
        if options:
            # Compiling in place leaves the names of the weights as they are.
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
            UserError: the checkpoint does not fit the model, or holds more than tensors and plain values.
        """
        with _named('checkpoint', filename), tensors_only():
            checkpoint = super().load_checkpoint(filename, *args, **kwargs)

        # MMEngine would run this text as a program when it resumes, to learn the number of GPUs.
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

    # It runs after the hooks that rename or move the weights before they are loaded.
    priority = 'LOWEST'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        check_complete(unwrap_model(runner.model), unwrap(checkpoint))


@contextmanager
def _named(role: str, path: str) -> Iterator[None]:
    """Turn errors from loading ``path`` into one sentence that says which option or entry named it."""
    try:
        yield
    except UnpicklingError as error:
        raise UserError(f'{role}: {explain(path, error)}') from error
    except (ValueError, FileNotFoundError) as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise UserError(f'{role} {path}: {"; ".join(lines).replace(":;", ":")}') from error
