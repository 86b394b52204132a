"""A model from a config, with weights that fit it.

A checkpoint takes one road, whoever reads it: :func:`~lkdense.checkpoints.file.read` the file,
:func:`~lkdense.checkpoints.keys.unwrap` the weights, :func:`place` them in the model, :func:`check_complete`, and at
last the backbone's own hook, which translates the authors' names while PyTorch loads. :func:`load_model` goes all of
it; the hooks of ``lkdense.training`` call the same functions where MMEngine's Runner reads the file.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.model import BaseTTAModel, is_model_wrapper, revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

from .backbones import StagedBackbone
from .checkpoints.file import CheckpointError, read
from .checkpoints.keys import BACKBONE, CLASSIFIER, misfits, unwrap
from .classification import ImageClassifier
from .errors import first_few

# An error spells out so many differences before it only counts the rest.
SHOWN = 3


def build_model(cfg: Config) -> nn.Module:
    """Return the model of a config, in eval mode, before its weights are initialised."""
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        model = revert_sync_batchnorm(MODELS.build(cfg.model))

    # Some models of the hosts return nothing from eval().
    model.eval()
    return model


def load_model(cfg: Config, checkpoint: str | Path | None = None) -> nn.Module:
    """Return the model of a config, in eval mode, with the weights of a file; without one, with random ones.

    The random weights are the same each time. Batch norms are those of one process.

    Args:
        cfg: the config of a segmentor, detector or classifier.
        checkpoint: weights of the whole model, or of its backbone alone, as the authors publish it.

    Raises:
        CheckpointError: the file does not fit the model, is not there, or is no checkpoint.
    """
    # The caller's random numbers go on as they were.
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        model = build_model(cfg)
        if checkpoint is None:
            initialise(model)
            return model.eval()

        weights = place(model, unwrap(read(checkpoint)))
        if is_bare(weights):
            initialise(model)

        check_complete(model, weights)
        model.load_state_dict(weights, strict=False)

    return model.eval()


def initialise(model: nn.Module) -> None:
    """Draw the weights as ``init_cfg`` says, without MMEngine's note on every parameter."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('WARNING')

    try:
        model.init_weights()
    finally:
        logger.setLevel(level)


def unwrap_model(model: nn.Module) -> nn.Module:
    """Return the segmentor or detector inside the wrappers of distributed training and of test-time augmentation."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module

    return model


def place(model: nn.Module, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return the weights of a bare backbone as entries of a model around one; those of a whole model as they are."""
    has_backbone = isinstance(getattr(model, 'backbone', None), StagedBackbone)
    if not has_backbone or any(name.startswith(BACKBONE) for name in weights):
        return weights

    placed = {}
    for name, weight in weights.items():
        # A classifier of ours has a place for what was trained on top of the backbone.
        stays = isinstance(model, ImageClassifier) and CLASSIFIER.match(name)
        placed[name if stays else BACKBONE + name] = weight

    return placed


def is_bare(weights: Mapping[str, Tensor]) -> bool:
    """Return whether these are the weights of a backbone alone, rather than of a model around one."""
    return len({name.startswith(BACKBONE) for name in weights}) == 1


def check_complete(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Refuse weights that would leave a part of ``model`` as it was initialised, or have entries without a place.

    A backbone of lkdense is left out, and alone it may be: it does its own checking while it is loaded.

    Raises:
        CheckpointError: the first differences.
    """
    expected = model.state_dict()
    if isinstance(getattr(model, 'backbone', None), StagedBackbone):
        weights = _without_backbone(weights)
        expected = _without_backbone(expected)

    problems = misfits(weights, expected) if weights else []
    if problems:
        raise CheckpointError(f'it does not fit this {type(model).__name__}: {first_few(problems, SHOWN)}')


def _without_backbone(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in weights.items() if not name.startswith(BACKBONE)}
