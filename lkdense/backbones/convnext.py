"""ConvNeXt with any kernel size. "A ConvNet for the 2020s", CVPR 2022.

Paper: https://arxiv.org/abs/2201.03545    Authors' code: https://github.com/facebookresearch/ConvNeXt
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn

from ..layers import (
    GELU,
    DepthwiseConv2d,
    DropPath,
    KernelSize,
    LayerNorm2d,
    PointwiseLinear,
    SquareLargeKernel,
    drop_path_rates,
)
from .base import StagedBackbone, check_four, first_layer, named_arch, stage_depths

ARCHS = {
    'pico': dict(depths=(2, 2, 6, 2), dims=(64, 128, 256, 512)),
    'tiny': dict(depths=(3, 3, 9, 3), dims=(96, 192, 384, 768)),
    'small': dict(depths=(3, 3, 27, 3), dims=(96, 192, 384, 768)),
    'base': dict(depths=(3, 3, 27, 3), dims=(128, 256, 512, 1024)),
    'large': dict(depths=(3, 3, 27, 3), dims=(192, 384, 768, 1536)),
    'xlarge': dict(depths=(3, 3, 27, 3), dims=(256, 512, 1024, 2048)),
}
MLP_RATIO = 4

# The authors' names for the parts that SLaK and UniRepLKNet share.
SHARED_KEY_MAP = (
    (r'^downsample_layers\.0\.', r'stem.'),
    (r'^downsample_layers\.1\.', r'downsamples.0.'),
    (r'^downsample_layers\.2\.', r'downsamples.1.'),
    (r'^downsample_layers\.3\.', r'downsamples.2.'),
    (r'\.pwconv1\.', r'.mlp.0.'),
    (r'\.pwconv2\.', r'.mlp.2.'),
)


class ConvNeXtBlock(nn.Module):
    """A depthwise convolution, then an MLP on every pixel: ``[N, C, H, W]`` to the same shape.

    Args:
        dim: the number of channels, C.
        depthwise: the layer that mixes pixels, channel by channel.
        drop_path_rate: the probability of dropping the block.
        layer_scale_init_value: the initial value of the residual's learned scale; 0 for no scale.
    """

    def __init__(self, dim: int, depthwise: nn.Module, drop_path_rate: float, layer_scale_init_value: float):
        super().__init__()
        self.depthwise = depthwise
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        hidden = MLP_RATIO * dim
        self.mlp = nn.Sequential(PointwiseLinear(dim, hidden), GELU(), PointwiseLinear(hidden, dim))

        scale = torch.full((dim,), float(layer_scale_init_value))
        self.gamma = nn.Parameter(scale) if layer_scale_init_value else None
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: Tensor) -> Tensor:
        """Add the block's residual to ``x``."""
        residual = self.mlp(self.norm(self.depthwise(x).permute(0, 2, 3, 1)))
        if self.gamma is not None:
            residual = self.gamma * residual

        return x + self.drop_path(residual.permute(0, 3, 1, 2))


class ConvNeXtLike(StagedBackbone):
    """The frame of ConvNeXt around any depthwise layer: an image ``[N, 3, H, W]`` to normalized maps.

    Args:
        depths: the number of blocks in each stage.
        dims: the width of each stage.
        depthwise: four lists of the blocks' depthwise layers.
        drop_path_rate: the rate of the last block; the rates grow linearly from 0.
        layer_scale_init_value: as in :class:`ConvNeXtBlock`.
        **kwargs: arguments of :class:`StagedBackbone`.
    """

    def __init__(
        self,
        depths: Sequence[int],
        dims: Sequence[int],
        depthwise: Sequence[Sequence[nn.Module]],
        drop_path_rate: float,
        layer_scale_init_value: float,
        **kwargs,
    ):
        stem = nn.Sequential(nn.Conv2d(3, dims[0], 4, stride=4), LayerNorm2d(dims[0]))
        downsamples = [
            nn.Sequential(LayerNorm2d(before), nn.Conv2d(before, after, 2, stride=2))
            for before, after in pairwise(dims)
        ]

        stages = []
        for dim, layers, rates in zip(dims, depthwise, drop_path_rates(drop_path_rate, depths)):
            blocks = [ConvNeXtBlock(dim, layer, rate, layer_scale_init_value) for layer, rate in zip(layers, rates)]
            stages.append(blocks)

        super().__init__(stem, downsamples, stages, dims, LayerNorm2d, **kwargs)
        self.apply(init_like_the_authors)


@MODELS.register_module()
class ConvNeXt(ConvNeXtLike):
    """ConvNeXt: an image ``[N, 3, H, W]`` to a tuple of normalized maps at strides 4, 8, 16 and 32.

    >>> import torch
    >>> backbone = ConvNeXt(arch='pico', kernel_sizes=(31, 29, 27, 13), small_kernel=5)
    >>> [tuple(output.shape) for output in backbone(torch.randn(1, 3, 64, 64))]
    [(1, 64, 16, 16), (1, 128, 8, 8), (1, 256, 4, 4), (1, 512, 2, 2)]

    Args:
        arch: a name of ``ARCHS`` or ``dict(depths=..., dims=...)``.
        kernel_sizes: the kernel of each stage: an odd number or (height, width).
        small_kernel: the size of a parallel kernel; both then have a batch norm, as in RepLKNet. None for ConvNeXt's
            own single convolution with a bias.
        drop_path_rate: the rate of the last block; the rates grow linearly from 0.
        layer_scale_init_value: the initial value of each residual's learned scale; 0 for no scale. The authors use
            1.0 for dense prediction and 1e-6 for ImageNet.
        **kwargs: ``norm_outputs``, ``out_indices``, ``frozen_stages``, ``with_cp``, ``deploy`` and ``init_cfg`` of
            :class:`StagedBackbone`.

    Raises:
        ValueError: the arch is unknown or a kernel size is even.
    """

    KEY_MAP = (*SHARED_KEY_MAP, (r'\.dwconv\.', r'.depthwise.'))

    def __init__(
        self,
        arch: str | Mapping = 'tiny',
        kernel_sizes: Sequence[KernelSize] = (7, 7, 7, 7),
        small_kernel: int | None = None,
        drop_path_rate: float = 0.0,
        layer_scale_init_value: float = 1.0,
        **kwargs,
    ):
        sizes = named_arch(arch, ARCHS)
        depths, dims = sizes['depths'], sizes['dims']

        depthwise = []
        for depth, dim, kernel_size in zip(depths, dims, check_four('kernel_sizes', kernel_sizes)):
            depthwise.append([_depthwise(dim, kernel_size, small_kernel) for _ in range(depth)])

        super().__init__(depths, dims, depthwise, drop_path_rate, layer_scale_init_value, **kwargs)

    @classmethod
    def arguments_of(cls, weights: Mapping[str, Tensor]) -> dict:
        """Return the arguments that fit ``weights``; see the base class."""
        sizes = dict(depths=stage_depths(weights), dims=stage_dims(weights))
        large = first_layer(weights, 'depthwise.large.conv', 'depthwise')
        small = weights.get('stages.0.0.depthwise.small.conv.weight')

        arguments = dict(arch=arch_name(sizes, ARCHS), kernel_sizes=kernel_sizes_of(weights, large))
        if small is not None:
            arguments['small_kernel'] = small.shape[-1]
        if 'stages.0.0.gamma' not in weights:
            arguments['layer_scale_init_value'] = 0

        return arguments


def stage_dims(weights: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Return the width of each stage of a checkpoint of ConvNeXt's frame."""
    return tuple(weights[f'stages.{i}.0.norm.weight'].shape[0] for i in range(4))


def kernel_sizes_of(weights: Mapping[str, Tensor], *layers: str) -> tuple[KernelSize, ...]:
    """Return what the kernels of ``layers`` span together in each stage of a checkpoint."""
    sizes = []
    for stage in range(4):
        shapes = [weights[f'stages.{stage}.0.{layer}.weight'].shape for layer in layers]
        height = max(shape[2] for shape in shapes)
        width = max(shape[3] for shape in shapes)
        sizes.append(height if height == width else (height, width))

    return tuple(sizes)


def arch_name(sizes: dict, archs: Mapping[str, Mapping]) -> str | dict:
    """Return the name of the arch with these sizes, or the sizes if no arch has them.

    >>> arch_name(dict(depths=(3, 3, 9, 3), dims=(96, 192, 384, 768)), ARCHS)
    'tiny'
    """
    for name, arch in archs.items():
        if {**arch, **sizes} == arch:
            return name

    return sizes


def _depthwise(dim: int, kernel_size: KernelSize, small_kernel: int | None) -> nn.Module:
    if small_kernel is None:
        return DepthwiseConv2d(dim, kernel_size)

    return SquareLargeKernel(dim, kernel_size, small_kernel)


def init_like_the_authors(module: nn.Module) -> None:
    """Draw the weights of a convolution or linear layer as ConvNeXt's authors do, and UniRepLKNet's."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
