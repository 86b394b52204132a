"""Layer-wise learning rate decay for any backbone that knows its own depth.

The rule is that of ConvNeXt's downstream recipes: the closer a parameter lies to the input, the smaller its learning
rate. The backbone says where it lies by ``get_layer_depth`` and ``get_stage``; its class name does not matter.

"A ConvNet for the 2020s", CVPR 2022. Paper: https://arxiv.org/abs/2201.03545
"""

import logging

from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn

DECAY_TYPES = ('layer_wise', 'stage_wise')


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Multiply the learning rate of every parameter by ``decay_rate ** (layers between it and the head)``.

    ``paramwise_cfg`` takes the options of MMEngine's default constructor (``custom_keys``, ``norm_decay_mult``, ...;
    the decay then scales the learning rates that they set) and:

    - ``decay_rate``: in (0, 1].
    - ``decay_type``: ``'layer_wise'`` (the default) counts the stem, groups of three blocks in stage 3, and one layer
      for each other stage. ``'stage_wise'`` counts the stem and the downsample layers as 0, the stages as 1 to 4.
    - ``num_layers``: the backbone's layers as the authors' configs count them (6 for SLaK-T, 12 for SLaK-S), without
      the stem and the head; by default the backbone's own number.

    Parameters for which the backbone has no stage (its output norms, the heads) keep the full rate. Biases and all
    other one-dimensional parameters get no weight decay, unless an option above says otherwise. Parameters with equal
    settings share one group; frozen ones are left out.

    >>> from mmengine.optim import build_optim_wrapper
    >>> from lkdense import ConvNeXt
    >>> model = nn.Module()
    >>> model.backbone = ConvNeXt('pico')
    >>> constructor = dict(constructor='LayerDecayOptimWrapperConstructor', paramwise_cfg=dict(decay_rate=0.5))
    >>> wrapper = build_optim_wrapper(model, dict(optimizer=dict(type='AdamW', lr=1.0), **constructor))
    >>> sorted({group['lr'] for group in wrapper.optimizer.param_groups})
    [0.015625, 0.03125, 0.0625, 0.125, 0.25, 0.5, 1.0]

    Raises:
        ValueError: an option is out of range, or the model's backbone has no ``get_layer_depth``.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None):
        super().__init__(optim_wrapper_cfg, paramwise_cfg)
        self.decay_rate = self.paramwise_cfg.get('decay_rate')
        self.decay_type = self.paramwise_cfg.get('decay_type', 'layer_wise')
        self.num_layers = self.paramwise_cfg.get('num_layers')

        if not isinstance(self.decay_rate, int | float) or not 0 < self.decay_rate <= 1:
            raise ValueError(f'paramwise_cfg.decay_rate must be in (0, 1], got {self.decay_rate}')
        if self.decay_type not in DECAY_TYPES:
            raise ValueError(f'paramwise_cfg.decay_type must be one of {DECAY_TYPES}, got {self.decay_type!r}')
        if self.num_layers is not None and (not isinstance(self.num_layers, int) or self.num_layers < 4):
            raise ValueError(f'paramwise_cfg.num_layers must be at least 4, got {self.num_layers!r}')
        if self.base_lr is None:
            raise ValueError(f'layer decay needs optimizer.lr to scale, got {self.optimizer_cfg}')

    def add_params(
        self, params: list[dict], module: nn.Module, prefix: str = '', is_dcn_module: bool | None = None
    ) -> None:
        """Append the parameter groups of ``module`` to ``params``.

        The default constructor calls this method for each child, with its ``prefix``; the outermost call then scales
        and merges the groups of all.
        """
        super().add_params(params, module, prefix, is_dcn_module)
        if not prefix:
            params[:] = self._scaled_and_merged(params, module)

    def _scaled_and_merged(self, singles: list[dict], model: nn.Module) -> list[dict]:
        """Turn groups of one parameter each into groups of equal settings, in the order in which these first occur."""
        names = {id(param): name for name, param in model.named_parameters()}
        merged: dict[tuple, dict] = {}

        for group in singles:
            (param,) = group.pop('params')
            # A shared parameter comes once for each of its owners; its first name counts.
            name = names.pop(id(param), None)
            if name is None:
                continue

            group['lr'] = group.get('lr', self.base_lr) * self.lr_scale(name, model)
            if (param.ndim == 1 or name.endswith('.bias')) and not self._weight_decay_is_set(name, group):
                group['weight_decay'] = 0.0

            settings = tuple(sorted((key, str(value)) for key, value in group.items()))
            merged.setdefault(settings, {'params': [], **group})['params'].append(param)

        self._log(merged.values())
        return list(merged.values())

    def lr_scale(self, name: str, model: nn.Module) -> float:
        """Return the factor of the learning rate of the parameter ``name`` of ``model``."""
        backbone = getattr(model, 'backbone', None)
        if not hasattr(backbone, 'get_layer_depth'):
            raise ValueError(
                f'layer decay needs model.backbone.get_layer_depth(param_name, prefix) -> (layer, number of layers), '
                f'as the backbones of lkdense have it; {type(model).__name__}.backbone is a {type(backbone).__name__}'
            )

        layer, own_layers = backbone.get_layer_depth(name, 'backbone.')
        layers = own_layers if self.num_layers is None else self.num_layers + 2

        if self.decay_type == 'stage_wise':
            stage = backbone.get_stage(name, 'backbone.')
            layer = layers - 1 if stage is None else stage
        # The last two, stage 4 and the head, are counted from the end, so another number of layers moves them along.
        elif layer >= own_layers - 2:
            layer += layers - own_layers

        return self.decay_rate ** (layers - 1 - layer)

    def _weight_decay_is_set(self, name: str, group: dict) -> bool:
        # The default constructor sets the weight decay of every parameter that a custom key matches, even if the key
        # does not ask for it.
        if any(key in name for key in self.paramwise_cfg.get('custom_keys', {})):
            return 'decay_mult' in group

        return 'weight_decay' in group

    def _log(self, groups) -> None:
        lines = [f'{self.decay_type} learning rate decay, rate {self.decay_rate}:']
        for group in groups:
            decay = group.get('weight_decay', self.base_wd)
            lines.append(f'  lr {group["lr"]:.4g}, weight decay {decay}: {len(group["params"])} parameters')

        print_log('\n'.join(lines), logger='current')

        if any(group['lr'] > self.base_lr * group.get('lr_mult', 1) for group in groups):
            warning = (
                f'num_layers={self.num_layers} is fewer than the backbone has, so some of its layers learn faster than '
                'the head'
            )
            print_log(warning, logger='current', level=logging.WARNING)
