"""Official classification checkpoints as ``load_from`` of a segmentor or detector."""

from collections.abc import Mapping

from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn

from ..backbones.base import StagedBackbone
from ..checkpoints.keys import unwrap
from ..classification import ImageClassifier

# where segmentors and detectors keep their backbone
PREFIX = 'backbone.'
CLASSIFIER = ('norm.', 'head.')


def unwrapped(model: nn.Module) -> nn.Module:
    """The segmentor or detector inside the wrappers of distributed training and of test-time augmentation."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


def placed_in(model: nn.Module, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return the weights of a bare backbone as entries of a model around one; those of a whole model as they are."""
    bare = not any(name.startswith(PREFIX) for name in weights)
    if not bare or not isinstance(getattr(model, 'backbone', None), StagedBackbone):
        return weights
    # a classifier has a place for what was trained on top of the backbone
    kept = CLASSIFIER if isinstance(model, ImageClassifier) else ()
    return {name if name.startswith(kept) else PREFIX + name: weight for name, weight in weights.items()}


@HOOKS.register_module()
class OfficialCheckpointHook(Hook):
    """Hand a bare backbone's checkpoint to ``model.backbone``, which translates its names as it loads.

    A segmentor's or detector's own checkpoint passes through untouched, and so does any if the backbone is not one
    of lkdense.
    """

    priority = 'VERY_HIGH'  # other hooks shall see the names that are going to be loaded

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        weights, model = unwrap(checkpoint), unwrapped(runner.model)
        if (placed := placed_in(model, weights)) is not weights:
            checkpoint['state_dict'] = placed
