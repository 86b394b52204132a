"""Official classification checkpoints as ``load_from`` of a segmentor or detector."""

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ..checkpoints.keys import unwrap
from ..models import place, unwrap_model


@HOOKS.register_module()
class OfficialCheckpointHook(Hook):
    """Hand a bare backbone's checkpoint to ``model.backbone``, which translates its names as it loads.

    The checkpoint of a whole segmentor or detector passes through untouched, and so does any checkpoint if the backbone
    is not one of lkdense.

    >>> hook = HOOKS.build(dict(type='OfficialCheckpointHook'))
    >>> hook.priority
    'VERY_HIGH'
    """

    # The other hooks see the names that are going to be loaded.
    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        weights = unwrap(checkpoint)
        placed = place(unwrap_model(runner.model), weights)

        if placed is not weights:
            checkpoint['state_dict'] = placed
