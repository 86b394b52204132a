"""The maps of a backbone or neck, told by running it, and which of our stages can stand in for them."""

import pickle
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import cache
from typing import Any, NamedTuple

import torch
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

from ..errors import UserError, first_line
from .known_backbones import known_maps

STRIDES = (4, 8, 16, 32)
# where a backbone is run, on an image of how many pixels a side: on the meta device nothing is computed, but not all
# that a config names can do without values, and some necks have strides that end a small image
ATTEMPTS = (('meta', 512), ('cpu', 128), ('cpu', 512))
# two, so that a backbone which makes several images of one is noticed
BATCH = 2
CANNOT_RUN = 'not to be run'


class SwapError(UserError):
    """Why a config cannot get another backbone; ``kind`` is the same for all of one reason."""

    def __init__(self, kind: str, message: str):
        super().__init__(message)
        self.kind = kind


class Maps(NamedTuple):
    """Feature maps, one entry each: the stride and the number of channels."""

    strides: tuple[int, ...]
    widths: tuple[int, ...]


def measure(backbone: dict, scope: str | None) -> Maps:
    """Return the maps of the backbone of a config: it is built and run, on the meta device if it can be.

    Raises:
        SwapError: it cannot be built or run and is not known either, or what it returns are not feature maps.
    """
    try:
        # as bytes, because nothing can be remembered by a dict
        return _measure(pickle.dumps(backbone), scope)
    except SwapError as error:
        if error.kind != CANNOT_RUN or (maps := known_maps(backbone)) is None:
            raise
    return Maps(*maps)


def maps_after(neck: dict, maps: Maps, scope: str | None) -> Maps:
    """Return the maps that a neck makes of ``maps``.

    Raises:
        SwapError: it cannot be built or run on them.
    """
    return _maps_after(pickle.dumps(neck), maps, scope)


def stages_for(maps: Maps, backbone: str) -> tuple[int, ...]:
    """Return which of our stages, 0 to 3, takes the place of each map.

    That is the one of the same stride. Where dilation holds the last maps back at one stride, as in most configs for
    segmentation, they become the stages after it, of coarser maps.

    Raises:
        SwapError: the maps are no such pyramid.
    """
    strides = maps.strides
    rising = list(strides[: strides.index(max(strides)) + 1])
    held_back = strides[len(rising) :]
    stages = [STRIDES.index(stride) for stride in rising if stride in STRIDES]
    stages += [stages[-1] + i + 1 for i in range(len(held_back))] if stages else []
    is_pyramid = (
        len(stages) == len(strides)
        and rising == sorted(set(rising))
        and set(held_back) <= {rising[-1]}
        and (not held_back or len(rising) > 1)
        and stages[-1] in (2, 3)
    )

    if not is_pyramid:
        raise SwapError(
            'no pyramid',
            f'{backbone} yields maps at strides {listed(strides)}: no pyramid up to stride 16 or 32, '
            'which stages at strides 4, 8, 16, 32 could take the place of',
        )

    return tuple(stages)


def build(cfg: dict, scope: str | None) -> nn.Module:
    """Return the module of a config of mmseg or mmdet, in eval mode, without reading weights."""
    with DefaultScope.overwrite_default_scope(scope or 'mmengine'):
        module = MODELS.build(deepcopy(cfg))
    # the hosts' backbones return nothing from it
    module.eval()
    return module


def as_maps(outputs: Any, size: int, who: str) -> Maps:
    """Return strides and widths of what an image of ``size`` pixels a side has become.

    Raises:
        SwapError: it has become something else than feature maps.
    """
    outputs = [outputs] if isinstance(outputs, Tensor) else outputs
    if not isinstance(outputs, Sequence) or not all(isinstance(output, Tensor) for output in outputs):
        raise SwapError('no pyramid', f'{who} does not return feature maps')
    if any(output.dim() not in (2, 4) or len(output) != BATCH for output in outputs):
        raise SwapError('no pyramid', f'{who} does not return one feature map an image and level')
    # what a global pooling leaves is as a map of one pixel
    sides = [output.shape[-1] if output.dim() == 4 else 1 for output in outputs]
    return Maps(tuple(round(size / side) for side in sides), tuple(output.shape[1] for output in outputs))


def listed(values: Sequence) -> str:
    """Return values as they stand in a sentence."""
    return ', '.join(map(str, values))


@cache
def _measure(key: bytes, scope: str | None) -> Maps:
    backbone = pickle.loads(key)

    def run(size: int) -> Maps:
        # some transformers take images of one size only
        side = backbone.get('img_size', size)
        side = max(side) if isinstance(side, list | tuple) else side
        return as_maps(build(backbone, scope)(torch.zeros(BATCH, 3, side, side)), side, backbone['type'])

    hint = '; --their-maps says what it yields'
    return _on_meta_or_cpu(run, f'the backbone {backbone["type"]}', hint)


@cache
def _maps_after(key: bytes, maps: Maps, scope: str | None) -> Maps:
    neck = pickle.loads(key)

    def run(size: int) -> Maps:
        module = build(neck, scope)
        inputs = [torch.zeros(BATCH, w, size // s, size // s) for s, w in zip(*maps)]
        return as_maps(module(tuple(inputs)), size, neck['type'])

    return _on_meta_or_cpu(run, f'the neck {neck["type"]}')


def _on_meta_or_cpu(run: Callable[[int], Any], who: str, hint: str = '') -> Any:
    failure = None
    for device, size in ATTEMPTS:
        try:
            with torch.no_grad(), torch.device(device):
                return run(size)
        except SwapError:
            raise
        except Exception as error:  # what any class of a host may raise
            failure = error

    raise SwapError(CANNOT_RUN, f'{who} cannot be built and run: {first_line(failure)}{hint}') from failure
