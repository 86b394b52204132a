"""The maps of a backbone or neck, measured by running it, and which of our stages can stand in for them."""

import pickle
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import cache
from typing import Any, NamedTuple

import torch
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

from ..errors import UserError, first_line
from .known_backbones import look_up_maps

STRIDES = (4, 8, 16, 32)
# Devices and sides of an image in pixels, in the order in which they are tried. The meta device computes nothing, but
# some of what a config names needs values; and a small image is too small for the strides of some necks.
ATTEMPTS = (('meta', 512), ('cpu', 128), ('cpu', 512))
# Two images show whether a backbone makes several images of one.
BATCH = 2
CANNOT_RUN = 'not to be run'


class SwapError(UserError):
    """Why a config cannot get another backbone; ``kind`` is the same for all errors of one reason.

    >>> SwapError('no model', 'the config has no model').kind
    'no model'
    """

    def __init__(self, kind: str, message: str):
        super().__init__(message)
        self.kind = kind


class Maps(NamedTuple):
    """Feature maps: a stride and a number of channels for each.

    >>> Maps(strides=(8, 16, 32), widths=(166, 332, 665)).widths
    (166, 332, 665)
    """

    strides: tuple[int, ...]
    widths: tuple[int, ...]


def measure_maps(backbone: dict, scope: str | None) -> Maps:
    """Return the maps of the backbone of a config: it is built and run, on the meta device where that works.

    Raises:
        SwapError: it cannot be built or run and is not known either, or what it returns are not feature maps.
    """
    try:
        # The results are cached, and a dict cannot be a key.
        return _measure_maps(pickle.dumps(backbone), scope)
    except SwapError as error:
        known = look_up_maps(backbone) if error.kind == CANNOT_RUN else None
        if known is None:
            raise

    return Maps(*known)


def measure_neck(neck: dict, maps: Maps, scope: str | None) -> Maps:
    """Return the maps that a neck makes of ``maps``.

    Raises:
        SwapError: it cannot be built or run on them.
    """
    return _measure_neck(pickle.dumps(neck), maps, scope)


def match_stages(maps: Maps, backbone: str) -> tuple[int, ...]:
    """Return which of our stages, 0 to 3, takes the place of each map.

    It is the stage of the same stride. Where dilation holds the last maps back at one stride, as in most configs for
    segmentation, these maps are replaced by the next stages, whose maps are coarser.

    Raises:
        SwapError: the maps are no such pyramid.
    """
    strides = maps.strides
    rising = list(strides[: strides.index(max(strides)) + 1])
    held_back = strides[len(rising) :]

    stages = [STRIDES.index(stride) for stride in rising if stride in STRIDES]
    if stages:
        stages += range(stages[-1] + 1, stages[-1] + 1 + len(held_back))

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
            f'{backbone} yields maps at strides {comma_separated(strides)}: no pyramid up to stride 16 or 32, '
            'which stages at strides 4, 8, 16, 32 could take the place of',
        )

    return tuple(stages)


def build_module(cfg: dict, scope: str | None) -> nn.Module:
    """Return the module of a config of mmseg or mmdet, in eval mode, without reading weights."""
    with DefaultScope.overwrite_default_scope(scope or 'mmengine'):
        module = MODELS.build(deepcopy(cfg))

    # Some backbones of the hosts return nothing from eval().
    module.eval()
    return module


def to_maps(outputs: Any, size: int, name: str) -> Maps:
    """Return strides and widths of the ``outputs`` for images of ``size`` pixels a side.

    Args:
        outputs: what a backbone or neck returned.
        size: side of the images in pixels.
        name: the backbone or neck, for errors.

    Raises:
        SwapError: the outputs are something else than feature maps.
    """
    outputs = [outputs] if isinstance(outputs, Tensor) else outputs
    if not isinstance(outputs, Sequence) or not all(isinstance(output, Tensor) for output in outputs):
        raise SwapError('no pyramid', f'{name} does not return feature maps')
    if any(output.dim() not in (2, 4) or len(output) != BATCH for output in outputs):
        raise SwapError('no pyramid', f'{name} does not return one feature map an image and level')

    strides, widths = [], []
    for output in outputs:
        # A vector, which global pooling leaves, counts as a map of one pixel.
        side = output.shape[-1] if output.dim() == 4 else 1
        strides.append(round(size / side))
        widths.append(output.shape[1])

    return Maps(tuple(strides), tuple(widths))


def comma_separated(values: Sequence) -> str:
    """Return values as they stand in a sentence."""
    return ', '.join(map(str, values))


@cache
def _measure_maps(pickled_backbone: bytes, scope: str | None) -> Maps:
    backbone = pickle.loads(pickled_backbone)

    def run(size: int) -> Maps:
        # Some transformers take images of one size only.
        side = backbone.get('img_size', size)
        side = max(side) if isinstance(side, list | tuple) else side

        images = torch.zeros(BATCH, 3, side, side)
        return to_maps(build_module(backbone, scope)(images), side, backbone['type'])

    return _attempt(run, f'the backbone {backbone["type"]}', hint='; --their-maps says what it yields')


@cache
def _measure_neck(pickled_neck: bytes, maps: Maps, scope: str | None) -> Maps:
    neck = pickle.loads(pickled_neck)

    def run(size: int) -> Maps:
        module = build_module(neck, scope)
        inputs = []
        for stride, width in zip(*maps):
            inputs.append(torch.zeros(BATCH, width, size // stride, size // stride))

        return to_maps(module(tuple(inputs)), size, neck['type'])

    return _attempt(run, f'the neck {neck["type"]}')


def _attempt(run: Callable[[int], Maps], name: str, hint: str = '') -> Maps:
    """Return what ``run`` gives for the first of ``ATTEMPTS`` that works."""
    failure = None
    for device, size in ATTEMPTS:
        try:
            with torch.no_grad(), torch.device(device):
                return run(size)
        except SwapError:
            raise
        except Exception as error:
            # The classes of the hosts may raise errors of any kind.
            failure = error

    raise SwapError(CANNOT_RUN, f'{name} cannot be built and run: {first_line(failure)}{hint}') from failure
