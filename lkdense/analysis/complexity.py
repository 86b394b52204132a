"""What a model costs: parameters, multiply-adds, seconds and memory of a forward pass.

A multiply-add counts once, as papers on backbones do, who call it a FLOP. Convolutions (depthwise ones too, on any
backend), linear layers and products of matrices count; norms, activations, pooling and resizing do not.
"""

import copy
import ctypes
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

# what the authors of mmdetection's counter give the heads: boxes from the region proposal network, and of them masks
PROPOSALS, MASKS = 1000, 100

# with which mmcv computes deformable convolutions; PyTorch's counter knows the one that is not in place
IN_PLACE = {torch.ops.aten.addmm_: lambda into, first, second, **_: 2 * first[0] * first[1] * second[1]}


class Cost(NamedTuple):
    """Of one image; ``nonzero`` and ``sparse_macs`` leave out weights that are zero, as after sparse training."""

    parameters: int
    nonzero: int
    macs: int
    sparse_macs: int


class Run(NamedTuple):
    """Measured: the median time of a forward pass, and how far it raises the peak of memory, where that can be told."""

    seconds: float
    mebibytes: float | None


def compute_cost(module: nn.Module, size: tuple[int, int], forward: Callable | None = None) -> Cost:
    """Count parameters and multiply-adds; nothing is computed where the layers can do without, so any size is quick.

    Args:
        module: a network, in eval mode, on any device.
        size: height and width of the image in pixels.
        forward: ``(module, image)`` to anything; by default ``module(image)``.
    """
    try:
        macs, sparse_macs = _count(module, 'meta', size, forward)
    except Exception:  # deformable layers run with values only, and raise what they like
        macs, sparse_macs = _count(module, next(module.parameters()).device, size, forward)
    return Cost(*count_parameters(module), macs, sparse_macs)


def count_parameters(module: nn.Module) -> tuple[int, int]:
    """Return how many parameters there are, and how many without zeros of kernels and matrices."""
    sizes = [(parameter.numel(), _share_of_nonzeros(parameter)) for parameter in module.parameters()]
    return sum(size for size, _ in sizes), round(sum(size * share for size, share in sizes))


def _count(
    module: nn.Module, device: torch.device | str, size: tuple[int, int], forward: Callable | None
) -> tuple[int, int]:
    """Return the multiply-adds of one image, and those without zeros."""
    # PyTorch's counter fails on parts of parameters that want gradients
    shadow = copy.deepcopy(module).to(device).requires_grad_(False)
    share_of = {
        id(copied): _share_of_nonzeros(parameter) for copied, parameter in zip(shadow.parameters(), module.parameters())
    }
    saved, begun = 0.0, 0

    with FlopCounterMode(display=False, custom_mapping=IN_PLACE) as counter, torch.no_grad():

        def before(layer: nn.Module, inputs: object) -> None:
            nonlocal begun
            begun = counter.get_total_flops()

        def after(layer: nn.Module, inputs: object, output: object) -> None:
            nonlocal saved
            weights = _weights(layer)
            used = sum(share_of[id(weight)] * weight.numel() for weight in weights)
            share = used / sum(weight.numel() for weight in weights)
            saved += (1 - share) * (counter.get_total_flops() - begun)

        for layer in shadow.modules():
            if _weights(layer):
                layer.register_forward_pre_hook(before)
                layer.register_forward_hook(after)

        (forward or nn.Module.__call__)(shadow, torch.zeros(1, 3, *size, device=device))
        macs = counter.get_total_flops() // 2

    return macs, round(macs - saved / 2)


def measure_run(module: nn.Module, size: tuple[int, int], forward: Callable | None = None, repeats: int = 3) -> Run:
    """Time a forward pass of one image on the device of ``module``, after one to warm up.

    Args:
        module: a network, in eval mode.
        size: height and width of the image in pixels.
        forward: as in :func:`compute_cost`.
        repeats: passes of which the median is taken.
    """
    forward = forward or nn.Module.__call__
    device = next(module.parameters()).device
    image = torch.randn(1, 3, *size, device=device)
    seconds = []

    with torch.no_grad():
        forward(module, image)
        before = _restart_peak(device)
        for _ in range(repeats):
            started = time.perf_counter()
            forward(module, image)
            if device.type == 'cuda':
                torch.cuda.synchronize(device)
            seconds.append(time.perf_counter() - started)

    peak = _peak(device)
    return Run(statistics.median(seconds), None if before is None else (peak - before) / 2**20)


def zero_at_random(module: nn.Module, sparsity: float) -> None:
    """Set the same share of every kernel and matrix of ``module`` to zero, in place, to see what a sparse one costs."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() > 1:
                kept = torch.rand(parameter.shape, generator=generator) >= sparsity
                parameter.mul_(kept.to(parameter.device))


def whole_pass(model: nn.Module, image: Tensor) -> object:
    """Run all of a classifier, segmentor or detector on ``image``, but for what makes results of the scores.

    The heads of a two-stage detector get empty features of as many boxes as mmdetection's own counter gives them.

    Raises:
        ValueError: a model of another kind.
    """
    # with queries, whose positions take the size of the image
    if hasattr(getattr(model, 'decode_head', None), 'pixel_decoder'):
        return model.decode_head(model.extract_feat(image), [_sample(image)])
    if hasattr(model, 'encoder') or hasattr(model, 'panoptic_head'):
        return model(image, [_sample(image)], mode='tensor')
    if hasattr(model, 'decode_head') or hasattr(model, 'head'):
        return model(image, mode='tensor')

    maps = model.extract_feat(image)
    if not hasattr(model, 'roi_head'):
        head = getattr(model, 'bbox_head', None) or getattr(model, 'mask_head', None)
        if head is None:
            raise ValueError(f'neither a segmentor nor a detector: {type(model).__name__}')
        return head(maps)

    scores = [model.rpn_head(maps)] if hasattr(model, 'rpn_head') else []
    head = model.roi_head
    for boxes, heads, extractor in (
        (PROPOSALS, head.bbox_head, head.bbox_roi_extractor),
        (MASKS, getattr(head, 'mask_head', ()), getattr(head, 'mask_roi_extractor', None)),
    ):
        heads = list(heads) if isinstance(heads, nn.ModuleList | tuple) else [heads]
        extractors = list(extractor) if isinstance(extractor, nn.ModuleList) else [extractor] * len(heads)
        for part, pooling in zip(heads, extractors):
            side = pooling.roi_layers[0].output_size
            scores.append(part(maps[0].new_zeros(boxes, pooling.out_channels, *side)))

    return scores


def _sample(image: Tensor) -> SimpleNamespace:
    """What mmsegmentation and mmdetection keep beside an image, as far as heads read it."""
    shape = tuple(image.shape[-2:])
    about = dict(img_shape=shape, ori_shape=shape, pad_shape=shape, batch_input_shape=shape, scale_factor=(1.0, 1.0))
    return SimpleNamespace(metainfo=about, **about)


def _weights(layer: nn.Module) -> list[nn.Parameter]:
    """The kernels or matrices that a layer's own forward pass multiplies with."""
    weights = getattr(layer, 'fused_weights', [getattr(layer, 'weight', None)])
    return [weight for weight in weights if isinstance(weight, nn.Parameter)]


def _share_of_nonzeros(parameter: Tensor) -> float:
    # nothing is known of parameters without values, and zeros of norms, scales and biases are no sparsity
    if parameter.is_meta or parameter.squeeze().dim() < 2:
        return 1.0
    return parameter.count_nonzero().item() / parameter.numel()


def _restart_peak(device: torch.device) -> int | None:
    """Let the peak of memory begin from what is in use, and return that; None where nobody counts it."""
    if device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)

    reset = Path('/proc/self/clear_refs')
    if device.type != 'cpu' or not reset.exists():
        return None
    # what earlier passes have freed and the allocator has kept would hide what this one needs
    if hasattr(libc := ctypes.CDLL(None), 'malloc_trim'):
        libc.malloc_trim(0)

    reset.write_text('5')
    return _status('VmRSS')


def _peak(device: torch.device) -> int:
    if device.type == 'cuda':
        return torch.cuda.max_memory_allocated(device)
    return _status('VmHWM') if Path('/proc/self/status').exists() else 0


def _status(entry: str) -> int:
    lines = Path('/proc/self/status').read_text().splitlines()
    return int(next(line for line in lines if line.startswith(entry)).split()[1]) * 1024
