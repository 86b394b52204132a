"""What all backbones share: four stages, the choice of outputs, freezing, recomputation, loading and merging."""

import math
import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from ..checkpoints.file import CheckpointError, tensors_only
from ..checkpoints.keys import KeyMap, backbone_weights, misfits
from ..errors import first_few
from ..layers import merge_branches
from ..layers.in_place import forbid_overwriting
from ..ops._torch_internals import has_hooks, is_transformed

# An error spells out this many misfits and only counts the others.
MISFITS_SHOWN = 3


class StagedBackbone(BaseModule):
    """A stem and four stages: an image ``[N, 3, H, W]`` to a tuple of maps ``[N, C_i, H / 4 / 2**i, W / 4 / 2**i]``.

    A subclass builds the parts, states its ``KEY_MAP`` and reads its own arguments off a checkpoint
    (:meth:`arguments_of`). ``out_channels`` holds the widths of the chosen outputs.

    >>> from lkdense import ConvNeXt
    >>> backbone = ConvNeXt('pico', out_indices=(1, 3), frozen_stages=1)
    >>> isinstance(backbone, StagedBackbone), backbone.out_channels
    (True, (128, 512))
    >>> [tuple(output.shape) for output in backbone(torch.randn(1, 3, 64, 64))]
    [(1, 128, 8, 8), (1, 512, 2, 2)]

    Args:
        stem: the layers before the first stage; they reduce the image to stride 4.
        downsamples: three modules; each precedes one of the later stages.
        stages: four lists of blocks.
        dims: the width of each stage.
        output_norm: builds the norm of an output from its width; None leaves the outputs as they are.
        norm_outputs: whether to normalize the outputs; a classifier has a norm of its own.
        out_indices: the stages whose maps are returned, ascending.
        frozen_stages: -1 trains everything, 0 freezes the stem, k the stem and the first k stages.
        with_cp: recompute each block in the backward pass instead of keeping its activations.
        deploy: build it merged, as :meth:`switch_to_deploy` leaves it, for merged weights.
        init_cfg: as in MMEngine; ``dict(type='Pretrained', checkpoint=...)`` takes official checkpoints.

    Raises:
        ValueError: ``out_indices`` or ``frozen_stages`` is out of range.
    """

    KEY_MAP: KeyMap = ()
    # Channels last is the only memory format for which CPUs have fast kernels.
    CHANNELS_LAST_ON_CPU = True

    def __init__(
        self,
        stem: nn.Module,
        downsamples: Sequence[nn.Module],
        stages: Sequence[Sequence[nn.Module]],
        dims: Sequence[int],
        output_norm: type[nn.Module] | None = None,
        norm_outputs: bool = True,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        with_cp: bool = False,
        deploy: bool = False,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        if not out_indices or list(out_indices) != sorted(set(out_indices) & {0, 1, 2, 3}):
            raise ValueError(f'out_indices must be an ascending choice of 0, 1, 2, 3, got {out_indices!r}')
        if frozen_stages not in range(-1, 5):
            raise ValueError(f'frozen_stages must be between -1 and 4, got {frozen_stages!r}')

        self.stem = stem
        self.downsamples = nn.ModuleList(downsamples)
        self.stages = nn.ModuleList(nn.Sequential(*blocks) for blocks in stages)

        self.output_norms = [f'norm{i}' for i in out_indices] if output_norm and norm_outputs else []
        for i, name in zip(out_indices, self.output_norms):
            self.add_module(name, output_norm(dims[i]))

        self.out_indices = tuple(out_indices)
        self.out_channels = tuple(dims[i] for i in out_indices)
        self.frozen_stages = frozen_stages
        self.with_cp = with_cp
        self.register_load_state_dict_pre_hook(_translate_checkpoint)

        if deploy:
            self.switch_to_deploy()

        self._freeze()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the maps of the chosen stages."""
        # A hook may keep the maps that it is shown, so no layer may overwrite them then.
        watched = not torch.compiler.is_compiling() and has_hooks(self)
        with forbid_overwriting() if watched else nullcontext():
            return self._maps(x)

    def _maps(self, x: Tensor) -> tuple[Tensor, ...]:
        if self.CHANNELS_LAST_ON_CPU and x.device.type == 'cpu' and not is_transformed():
            # All later maps inherit the format of the image, so this is the only conversion.
            x = x.contiguous(memory_format=torch.channels_last)

        outputs = []
        for i, reduce in enumerate((self.stem, *self.downsamples)):
            x = reduce(x)
            for block in self.stages[i]:
                x = _recomputed(block, x) if self.with_cp and self.training else block(x)

            if i in self.out_indices:
                output = getattr(self, f'norm{i}')(x) if self.output_norms else x
                # mmcv's RoIAlign silently reads a channels-last map as if it were contiguous.
                outputs.append(output.contiguous())

            if i == self.out_indices[-1]:
                break

        return tuple(outputs)

    def init_weights(self) -> None:
        """Initialise as ``init_cfg`` says; a checkpoint may hold tensors and plain values only.

        Raises:
            CheckpointError: the checkpoint holds other objects.
        """
        with tensors_only():
            super().init_weights()

    def train(self, mode: bool = True) -> 'StagedBackbone':
        """Set the mode of everything but the frozen stages, which stay in eval mode."""
        super().train(mode)
        self._freeze()
        return self

    def switch_to_deploy(self) -> None:
        """Merge parallel branches and batch norms into single convolutions, in place; a second call does nothing.

        The outputs in eval mode stay the same. A merged backbone is for inference and takes merged weights.
        """
        merge_branches(self)
        self._freeze()

    def get_stage(self, param_name: str, prefix: str = 'backbone.') -> int | None:
        """Return 0 for a parameter of the stem or of a downsampling, 1 to 4 for a stage, None for anything else.

        Args:
            param_name: the parameter's name in the whole model.
            prefix: the backbone's place in that model.
        """
        part, *rest = param_name.removeprefix(prefix).split('.')
        if not param_name.startswith(prefix) or part not in ('stem', 'downsamples', 'stages'):
            return None
        return int(rest[0]) + 1 if part == 'stages' else 0

    def get_layer_depth(self, param_name: str, prefix: str = 'backbone.') -> tuple[int, int]:
        """Return the depth of a parameter for layer-wise learning-rate decay, and the number of depths.

        The rule is that of ConvNeXt's authors: 0 for the stem, 1 and 2 for the first two stages, then one depth for
        each three blocks of stage 3, one for stage 4, and the last for output norms and heads. A downsampling layer
        counts with the blocks after it.

        Args:
            param_name: the parameter's name in the whole model.
            prefix: the backbone's place in that model.
        """
        depths = 3 + math.ceil(len(self.stages[2]) / 3) + 2
        stage = self.get_stage(param_name, prefix)
        if stage is None:
            return depths - 1, depths

        part, *rest = param_name.removeprefix(prefix).split('.')
        if part == 'downsamples':
            stage = int(rest[0]) + 2

        if stage < 3:
            return stage, depths
        if stage == 4:
            return depths - 2, depths

        block = int(rest[1]) if part == 'stages' else 0
        return 3 + block // 3, depths

    @classmethod
    @abstractmethod
    def arguments_of(cls, weights: Mapping[str, Tensor]) -> dict:
        """Return the constructor's arguments that fit a checkpoint.

        Args:
            weights: the checkpoint's entries, under our names.

        Raises:
            KeyError: an entry is missing that every checkpoint of this family has.
        """

    def _freeze(self) -> None:
        frozen = []
        if self.frozen_stages >= 0:
            frozen.append(self.stem)
        if self.frozen_stages >= 1:
            frozen += [*self.stages[: self.frozen_stages], *self.downsamples[: self.frozen_stages - 1]]

        for module in frozen:
            module.eval()
            module.requires_grad_(False)

        # No output depends on the stages behind the last one: distributed training would wait for their gradients in
        # vain.
        last = self.out_indices[-1]
        for module in (*self.downsamples[last:], *self.stages[last + 1 :]):
            module.requires_grad_(False)


def stage_depths(weights: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Return the number of blocks in each stage of a checkpoint.

    >>> stage_depths(dict.fromkeys(['stages.0.0.gamma', 'stages.2.0.gamma', 'stages.2.1.gamma']))
    (1, 0, 2, 0)
    """
    blocks = [set() for _ in range(4)]
    for key in weights:
        match = re.match(r'stages\.([0-3])\.(\d+)\.', key)
        if match:
            blocks[int(match[1])].add(match[2])

    return tuple(map(len, blocks))


def first_layer(weights: Mapping[str, Tensor], *names: str, block: str = '0.0') -> str:
    """Return the first of ``names`` that a block of a checkpoint has a weight for.

    Raises:
        KeyError: the block has none of them.
    """
    for name in names:
        if f'stages.{block}.{name}.weight' in weights:
            return name

    raise KeyError(f'none of {", ".join(names)} in block {block}')


def named_arch(arch: str | Mapping, archs: Mapping[str, Mapping]) -> Mapping:
    """Return the sizes that ``arch`` names, or ``arch`` itself if it holds sizes.

    Raises:
        ValueError: the name is unknown, or the sizes are incomplete or not four of each.
    """
    if isinstance(arch, str):
        if arch not in archs:
            raise ValueError(f'arch must be one of {", ".join(archs)} or dict(depths=..., dims=...), got {arch!r}')
        return archs[arch]

    if not isinstance(arch, Mapping) or any(len(arch.get(key, ())) != 4 for key in ('depths', 'dims')):
        raise ValueError(f'an arch without a name must be dict(depths=..., dims=...) with four of each, got {arch!r}')

    return arch


def check_four(name: str, values: Sequence) -> Sequence:
    """Return ``values`` if there is one for each stage.

    Raises:
        ValueError: there are more or fewer.
    """
    if isinstance(values, (int, str)) or len(values) != 4:
        raise ValueError(f'{name} must have four entries, one for each stage, got {values!r}')

    return values


def _translate_checkpoint(backbone: StagedBackbone, state_dict: dict, prefix: str, *_) -> None:
    """Rename the weights for ``backbone`` to its own names, in place, before they are loaded."""
    weights = backbone_weights(state_dict, prefix, backbone.KEY_MAP)
    for name, layer in backbone.named_modules():
        # An enlarged layer puts the smaller kernel of an older checkpoint into the middle of its own.
        if hasattr(layer, 'take_smaller_kernel'):
            layer.take_smaller_kernel(weights, f'{name}.')

    expected = backbone.state_dict()
    problems = misfits(weights, expected)
    if problems:
        raise CheckpointError(_refusal(backbone, weights, problems))

    for key in list(state_dict):
        if key.startswith(prefix):
            del state_dict[key]

    # Entries that a checkpoint may lack keep their present values, so that strict loading misses none.
    for key, value in expected.items():
        state_dict[prefix + key] = weights.get(key, value)

    new_norms = [name for name in backbone.output_norms if f'{name}.weight' not in weights]
    note = f'; {", ".join(new_norms)} are new and keep their initial values' if new_norms else ''
    print_log(f'{type(backbone).__name__}: all weights found in the checkpoint{note}', 'current')


def _refusal(backbone: StagedBackbone, weights: Mapping[str, Tensor], problems: Sequence[str]) -> str:
    name = type(backbone).__name__
    first = first_few(problems, MISFITS_SHOWN, '\n  ')

    try:
        arguments = backbone.arguments_of(weights)
    except (KeyError, ValueError):
        advice = f'It does not look like a checkpoint of {name} at all.'
    else:
        described = ', '.join(f'{key}={value!r}' for key, value in arguments.items())
        advice = f'What would fit it: backbone=dict(type={name!r}, {described})'

    return f'this checkpoint does not fit this {name}:\n  {first}\n{advice}'


def _recomputed(block: nn.Module, x: Tensor) -> Tensor:
    # Without the second context, the recomputation would update the running statistics of batch norms once more.
    return checkpoint(block, x, use_reentrant=False, context_fn=lambda: (nullcontext(), _still_statistics(block)))


@contextmanager
def _still_statistics(module: nn.Module) -> Iterator[None]:
    """Keep the running statistics of all batch norms of ``module`` as they are."""
    norms = [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]
    before = [(norm.momentum, norm.num_batches_tracked.clone()) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0

    try:
        yield
    finally:
        for norm, (momentum, batches) in zip(norms, before):
            norm.momentum = momentum
            norm.num_batches_tracked.copy_(batches)
