"""Models of mmsegmentation and mmdetection for the tools that measure, draw or export: from a config, with weights.

And images, as these models want them.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

from .backbones import StagedBackbone
from .checkpoints.file import CheckpointError, read
from .checkpoints.keys import misfits, unwrap
from .classification.transforms import MEAN, STD
from .launch import LaunchError
from .training.official_checkpoint_hook import PREFIX, placed_in

# differences that an error spells out before it only counts the rest
SHOWN = 3
SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp')


def build_model(cfg: Config) -> nn.Module:
    """Return the model of a config, in eval mode, before its weights are initialised."""
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        model = revert_sync_batchnorm(MODELS.build(cfg.model))
    # some models of the hosts return nothing from it
    model.eval()
    return model


def load_model(cfg: Config, checkpoint: str | Path | None = None) -> nn.Module:
    """Return the model of a config, in eval mode, with the weights of a file; without one, with random ones.

    These are the same each time. Batch norms are those of one process.

    Args:
        cfg: of a segmentor or detector.
        checkpoint: of the whole model, or of its backbone alone, as the authors publish it.

    Raises:
        CheckpointError: the file does not fit the model, is not there, or is no checkpoint.
    """
    # the random numbers of who calls this go on as they were
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        model = build_model(cfg)
        if checkpoint is None:
            initialise(model)
            return model.eval()
        weights = placed_in(model, unwrap(read(checkpoint)))
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


def is_bare(weights: Mapping[str, Tensor]) -> bool:
    """Whether these are the weights of a backbone alone, rather than of a segmentor or detector around one."""
    return len({key.startswith(PREFIX) for key in weights}) == 1


def check_complete(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Refuse weights that would leave a part of ``model`` as it was initialised, or have entries without a place.

    A backbone of lkdense is left out, and alone it may be: it does its own checking while it is loaded.

    Raises:
        CheckpointError: the first differences.
    """
    expected = model.state_dict()
    if isinstance(getattr(model, 'backbone', None), StagedBackbone):
        weights, expected = (
            {k: v for k, v in part.items() if not k.startswith(PREFIX)} for part in (weights, expected)
        )
    if problems := weights and misfits(weights, expected):
        more = f', and {len(problems) - SHOWN} more' if len(problems) > SHOWN else ''
        raise CheckpointError(f'it does not fit this {type(model).__name__}: {", ".join(problems[:SHOWN])}{more}')


def find_images(folder: str | Path, count: int) -> list[Path]:
    """Return the first ``count`` images below ``folder``, in the order of their names.

    Raises:
        LaunchError: there is none.
    """
    paths = sorted(path for path in Path(folder).rglob('*') if path.suffix.lower() in SUFFIXES)[:count]
    if not paths:
        raise LaunchError(f'no image ({", ".join(SUFFIXES)}) below {folder}')
    return paths


def model_images(cfg: Config, paths: Sequence[Path], size: Sequence[int]) -> Iterator[Tensor]:
    """Give images ``[1, 3, H, W]`` as the model of ``cfg`` wants them.

    Args:
        cfg: of the model.
        paths: of the images.
        size: side, or height and width, in pixels, that they are resized to.

    Raises:
        LaunchError: one cannot be read.
    """
    # classifiers have theirs normalised by a transform
    normal = dict(mean=MEAN, std=STD, bgr_to_rgb=True)
    preprocessor = cfg.model.get('data_preprocessor') or {}
    if 'mean' in preprocessor:
        normal = dict(bgr_to_rgb=False) | preprocessor
    mean, std = torch.tensor(normal['mean']), torch.tensor(normal['std'])
    for path in paths:
        image = cv2.imread(str(path))
        if image is None:
            raise LaunchError(f'{path} cannot be read as an image')
        image = torch.from_numpy(cv2.resize(image, (size[-1], size[0]), interpolation=cv2.INTER_AREA)).float()
        image = image.flip(-1) if normal['bgr_to_rgb'] else image
        yield ((image - mean) / std).permute(2, 0, 1)[None]
