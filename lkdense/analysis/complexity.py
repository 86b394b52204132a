"""What a model costs: parameters, multiply-adds, seconds and memory of a forward pass.

A multiply-add counts once, as in papers on backbones, which call it a FLOP. Convolutions (also depthwise ones, on any
backend), linear layers and matrix products count; norms, activations, pooling and resizing do not.
"""

import copy
import ctypes
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

# mmdetection's own counter gives so many boxes to the box heads, as if from the region proposal network, and to the
# mask heads.
BOX_PROPOSALS, MASK_PROPOSALS = 1000, 100


def _addmm_flops(result: torch.Size, first: torch.Size, second: torch.Size, **_: object) -> int:
    return 2 * math.prod(first) * second[1]


# mmcv computes deformable convolutions with the in-place variant, and PyTorch's counter knows only the other one.
IN_PLACE_FLOPS = {torch.ops.aten.addmm_: _addmm_flops}


class Cost(NamedTuple):
    """The cost of one image; ``nonzero`` and ``sparse_macs`` leave out zero weights, as sparse training leaves them.

    >>> Cost(parameters=10, nonzero=6, macs=1000, sparse_macs=600).macs
    1000
    """

    parameters: int
    nonzero: int
    macs: int
    sparse_macs: int


class RunCost(NamedTuple):
    """The median time of a forward pass, and how far it raises the peak of memory, where that can be measured."""

    seconds: float
    mebibytes: float | None


def compute_cost(module: nn.Module, size: tuple[int, int], forward: Callable | None = None) -> Cost:
    """Count parameters and multiply-adds.

    The pass runs on the meta device unless a layer needs values, so counting is quick at any size.

    >>> compute_cost(nn.Conv2d(3, 8, kernel_size=5, padding=2, bias=False), (32, 32))
    Cost(parameters=600, nonzero=600, macs=614400, sparse_macs=614400)

    Args:
        module: a network in eval mode, on any device.
        size: height and width of the image in pixels.
        forward: ``(module, image)`` to anything; by default ``module(image)``.
    """
    try:
        macs, sparse_macs = _count_macs(module, 'meta', size, forward)
    except Exception:
        # Deformable layers cannot run without values, and the errors that they raise are of any kind.
        macs, sparse_macs = _count_macs(module, next(module.parameters()).device, size, forward)

    return Cost(*count_parameters(module), macs, sparse_macs)


def count_parameters(module: nn.Module) -> tuple[int, int]:
    """Return the number of parameters, and that without the zeros of kernels and matrices.

    >>> linear = nn.Linear(4, 3)
    >>> linear.weight.data[0] = 0
    >>> count_parameters(linear)
    (15, 11)
    """
    total, nonzero = 0, 0.0
    for parameter in module.parameters():
        total += parameter.numel()
        nonzero += parameter.numel() * _nonzero_share(parameter)

    return total, round(nonzero)


def _count_macs(
    module: nn.Module, device: torch.device | str, size: tuple[int, int], forward: Callable | None
) -> tuple[int, int]:
    """Return the multiply-adds of one image, and those without zeros."""
    # PyTorch's counter fails on parts of parameters that require gradients.
    shadow = copy.deepcopy(module).to(device).requires_grad_(False)
    nonzero_shares = {}
    for copied, parameter in zip(shadow.parameters(), module.parameters()):
        nonzero_shares[id(copied)] = _nonzero_share(parameter)

    saved, flops_before = 0.0, 0
    with FlopCounterMode(display=False, custom_mapping=IN_PLACE_FLOPS) as counter, torch.no_grad():

        def remember_flops(layer: nn.Module, inputs: object) -> None:
            nonlocal flops_before
            flops_before = counter.get_total_flops()

        def add_saved_flops(layer: nn.Module, inputs: object, output: object) -> None:
            nonlocal saved
            total, nonzero = 0, 0.0
            for weight in _kernels(layer):
                total += weight.numel()
                nonzero += weight.numel() * nonzero_shares[id(weight)]
            saved += (1 - nonzero / total) * (counter.get_total_flops() - flops_before)

        for layer in shadow.modules():
            if _kernels(layer):
                layer.register_forward_pre_hook(remember_flops)
                layer.register_forward_hook(add_saved_flops)

        run = forward or nn.Module.__call__
        run(shadow, torch.zeros(1, 3, *size, device=device))
        macs = counter.get_total_flops() // 2

    return macs, round(macs - saved / 2)


def measure_run(module: nn.Module, size: tuple[int, int], forward: Callable | None = None, repeats: int = 3) -> RunCost:
    """Time a forward pass of one image on the device of ``module``, after one to warm up.

    >>> cost = measure_run(nn.Conv2d(3, 8, kernel_size=5, padding=2), (32, 32))
    >>> cost.seconds > 0
    True

    Args:
        module: a network in eval mode.
        size: height and width of the image in pixels.
        forward: as in :func:`compute_cost`.
        repeats: number of passes whose median is returned.
    """
    forward = forward or nn.Module.__call__
    device = next(module.parameters()).device
    image = torch.randn(1, 3, *size, device=device)

    seconds = []
    with torch.no_grad():
        forward(module, image)

        memory_before = _restart_peak(device)
        for _ in range(repeats):
            started = time.perf_counter()
            forward(module, image)
            if device.type == 'cuda':
                torch.cuda.synchronize(device)
            seconds.append(time.perf_counter() - started)

    peak = _peak(device)
    mebibytes = None if memory_before is None else (peak - memory_before) / 2**20
    return RunCost(statistics.median(seconds), mebibytes)


def zero_at_random(module: nn.Module, sparsity: float) -> None:
    """Set the same share of every kernel and matrix of ``module`` to zero, in place, to see what a sparse one costs.

    >>> linear = nn.Linear(100, 100)
    >>> zero_at_random(linear, 0.4)
    >>> round((linear.weight == 0).float().mean().item(), 1)
    0.4
    """
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() > 1:
                mask = torch.rand(parameter.shape, generator=generator) >= sparsity
                parameter.mul_(mask.to(parameter.device))


def whole_pass(model: nn.Module, image: Tensor) -> object:
    """Run a whole classifier, segmentor or detector on ``image``, up to its scores.

    The heads of a two-stage detector get empty features for as many boxes as mmdetection's own counter gives them.

    >>> from lkdense.config import read_config
    >>> from lkdense.models import build_model
    >>> model = build_model(read_config('upernet_convnext_pico_ade20k'))
    >>> compute_cost(model, (64, 64), whole_pass).macs > compute_cost(model.backbone, (64, 64)).macs
    True

    Raises:
        ValueError: the model is of another kind.
    """
    # The positions of a decoder's queries depend on the size of the image, which its samples tell.
    if hasattr(getattr(model, 'decode_head', None), 'pixel_decoder'):
        return model.decode_head(model.extract_feat(image), [_sample(image)])
    if hasattr(model, 'encoder') or hasattr(model, 'panoptic_head'):
        return model(image, [_sample(image)], mode='tensor')
    if hasattr(model, 'decode_head') or hasattr(model, 'head'):
        return model(image, mode='tensor')

    maps = model.extract_feat(image)
    if hasattr(model, 'roi_head'):
        return _two_stage_pass(model, maps)

    head = getattr(model, 'bbox_head', None) or getattr(model, 'mask_head', None)
    if head is None:
        raise ValueError(f'neither a segmentor nor a detector: {type(model).__name__}')
    return head(maps)


def _two_stage_pass(model: nn.Module, maps: tuple[Tensor, ...]) -> list:
    """Return the scores of the region proposal network, and those of all heads for empty boxes."""
    scores = [model.rpn_head(maps)] if hasattr(model, 'rpn_head') else []

    roi_head = model.roi_head
    scores += _scores_of_boxes(roi_head.bbox_head, roi_head.bbox_roi_extractor, BOX_PROPOSALS, maps[0])
    if hasattr(roi_head, 'mask_head'):
        mask_extractor = getattr(roi_head, 'mask_roi_extractor', None)
        scores += _scores_of_boxes(roi_head.mask_head, mask_extractor, MASK_PROPOSALS, maps[0])

    return scores


def _scores_of_boxes(heads: object, extractors: object, boxes: int, like: Tensor) -> list:
    """Return the scores of each stage's head for empty features of so many boxes, on the device of ``like``."""
    heads = list(heads) if isinstance(heads, nn.ModuleList | tuple) else [heads]
    extractors = list(extractors) if isinstance(extractors, nn.ModuleList) else [extractors] * len(heads)

    scores = []
    for head, extractor in zip(heads, extractors):
        side = extractor.roi_layers[0].output_size
        scores.append(head(like.new_zeros(boxes, extractor.out_channels, *side)))

    return scores


def _sample(image: Tensor) -> SimpleNamespace:
    """Return a stand-in for a data sample of mmsegmentation or mmdetection, with what the heads read of it."""
    shape = tuple(image.shape[-2:])
    metainfo = dict(img_shape=shape, ori_shape=shape, pad_shape=shape, batch_input_shape=shape, scale_factor=(1.0, 1.0))
    return SimpleNamespace(metainfo=metainfo, **metainfo)


def _kernels(layer: nn.Module) -> list[nn.Parameter]:
    """Return the kernels or matrices that a layer's own forward pass multiplies with."""
    weights = getattr(layer, 'fused_weights', [getattr(layer, 'weight', None)])
    return [weight for weight in weights if isinstance(weight, nn.Parameter)]


def _nonzero_share(parameter: Tensor) -> float:
    """Return the share of non-zero weights in a kernel or matrix, and 1 for anything else."""
    # A parameter on the meta device has no values to count, and zeros in norms, scales and biases are not sparsity.
    if parameter.is_meta or parameter.squeeze().dim() < 2:
        return 1.0
    return parameter.count_nonzero().item() / parameter.numel()


def _restart_peak(device: torch.device) -> int | None:
    """Restart the peak of memory at what is in use, and return that in bytes; None where the peak is not recorded."""
    if device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)

    reset = Path('/proc/self/clear_refs')
    if device.type != 'cpu' or not reset.exists():
        return None

    # Memory that earlier passes have freed but the allocator has kept would hide what this pass needs.
    libc = ctypes.CDLL(None)
    if hasattr(libc, 'malloc_trim'):
        libc.malloc_trim(0)
    reset.write_text('5')
    return _memory_status('VmRSS')


def _peak(device: torch.device) -> int:
    """Return the peak of memory in bytes."""
    if device.type == 'cuda':
        return torch.cuda.max_memory_allocated(device)
    return _memory_status('VmHWM') if Path('/proc/self/status').exists() else 0


def _memory_status(entry: str) -> int:
    """Return an entry of this process's status in bytes."""
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith(entry):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f'/proc/self/status has no {entry}')
