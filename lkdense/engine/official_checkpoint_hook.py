"""Official classification checkpoints as ``load_from`` of a segmentor or detector."""

from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn

from ..backbones.base import StagedBackbone
from ..checkpoint import unwrap

# where segmentors and detectors keep their backbone
PREFIX = 'backbone.'


def unwrapped(model: nn.Module) -> nn.Module:
    """The segmentor or detector inside the wrappers of distributed training and of test-time augmentation."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


@HOOKS.register_module()
class OfficialCheckpointHook(Hook):
    """Hand a bare backbone's checkpoint to ``model.backbone``, which translates its names as it loads.

    A segmentor's or detector's own checkpoint passes through untouched, and so does any if the backbone is not one
    of lkdense.
    """

    priority = 'VERY_HIGH'  # other hooks shall see the names that are going to be loaded

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        weights = unwrap(checkpoint)
        bare = not any(name.startswith(PREFIX) for name in weights)
        if bare and isinstance(getattr(unwrapped(runner.model), 'backbone', None), StagedBackbone):
            checkpoint['state_dict'] = {PREFIX + name: weight for name, weight in weights.items()}
