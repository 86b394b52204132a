"""UniRepLKNet, CVPR 2024.

"UniRepLKNet: A Universal Perception Large-Kernel ConvNet for Audio, Video, Point Cloud, Time-Series and Image
Recognition"

Paper: https://arxiv.org/abs/2311.15599    Authors' code: https://github.com/AILab-CVC/UniRepLKNet
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn

from ..layers import (
    GELU,
    ConvNorm,
    DepthwiseConv2d,
    DilatedLargeKernel,
    DropPath,
    GRNProjection,
    LayerNorm2d,
    PointwiseLinear,
    SqueezeExcitation,
    drop_path_rates,
)
from .base import StagedBackbone, check_four, first_layer, named_arch, stage_depths
from .convnext import SHARED_KEY_MAP, arch_name, init_like_the_authors

ARCHS = {
    'a': dict(depths=(2, 2, 6, 2), dims=(40, 80, 160, 320)),
    'f': dict(depths=(2, 2, 6, 2), dims=(48, 96, 192, 384)),
    'p': dict(depths=(2, 2, 6, 2), dims=(64, 128, 256, 512)),
    'n': dict(depths=(2, 2, 8, 2), dims=(80, 160, 320, 640)),
    't': dict(depths=(3, 3, 18, 3), dims=(80, 160, 320, 640)),
    's': dict(depths=(3, 3, 27, 3), dims=(96, 192, 384, 768)),
    'b': dict(depths=(3, 3, 27, 3), dims=(128, 256, 512, 1024)),
    'l': dict(depths=(3, 3, 27, 3), dims=(192, 384, 768, 1536)),
    'xl': dict(depths=(3, 3, 27, 3), dims=(256, 512, 1024, 2048)),
}
SMALL, LARGE = 3, 13
# Blocks of the third stage: the first of every so many has the large kernel.
LARGE_EVERY = {6: 1, 8: 1, 18: 2, 27: 3}
MLP_RATIO = 4
SQUEEZE = 4
# A merged layer is a single convolution, so the names of its branches go.
MERGED_KEY_MAP = ((r'\.depthwise\.conv\.large\.conv\.', r'.depthwise.'), (r'\.depthwise\.conv\.', r'.depthwise.'))


class UniRepLKNetBlock(nn.Module):
    """Mixes pixels, weighs channels, then an MLP on every pixel: ``[N, C, H, W]`` to the same shape.

    Args:
        dim: the number of channels, C.
        kernel_size: the size of the depthwise kernel; from 5 on it has dilated kernels beside it.
        drop_path_rate: the probability of dropping the block.
        layer_scale_init_value: the initial value of the residual's learned scale.
    """

    def __init__(self, dim: int, kernel_size: int, drop_path_rate: float, layer_scale_init_value: float):
        super().__init__()
        large = kernel_size > SMALL
        conv = DilatedLargeKernel(dim, kernel_size) if large else DepthwiseConv2d(dim, kernel_size, bias=False)

        self.depthwise = ConvNorm(conv)
        self.se = SqueezeExcitation(dim, dim // SQUEEZE)
        self.expand = PointwiseLinear(dim, MLP_RATIO * dim)
        self.act = GELU()
        self.project = GRNProjection(MLP_RATIO * dim, dim)
        self.gamma = nn.Parameter(torch.full((dim,), float(layer_scale_init_value)))
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: Tensor) -> Tensor:
        """Add the block's residual to ``x``."""
        residual = self.se(self.depthwise(x)).permute(0, 2, 3, 1)
        residual = self.gamma * self.project(self.act(self.expand(residual)))
        return x + self.drop_path(residual.permute(0, 3, 1, 2))


@MODELS.register_module()
class UniRepLKNet(StagedBackbone):
    """UniRepLKNet: an image ``[N, 3, H, W]`` to a tuple of normalized maps at strides 4, 8, 16 and 32.

    >>> import torch
    >>> backbone = UniRepLKNet(arch='a')
    >>> [tuple(output.shape) for output in backbone(torch.randn(1, 3, 64, 64))]
    [(1, 40, 16, 16), (1, 80, 8, 8), (1, 160, 4, 4), (1, 320, 2, 2)]

    Args:
        arch: a name of ``ARCHS`` or ``dict(depths=..., dims=...)``.
        kernel_sizes: the kernel of each block, in four lists: 3 or less, or a key of
            :data:`lkdense.layers.large_kernel.DILATED`. None for the authors' sizes: 3 in the first stage, 13 in the
            second and fourth, both in turn in the third.
        drop_path_rate: the rate of the last block; the rates grow linearly from 0.
        layer_scale_init_value: the initial value of each residual's learned scale.
        **kwargs: ``norm_outputs``, ``out_indices``, ``frozen_stages``, ``with_cp``, ``deploy`` and ``init_cfg`` of
            :class:`StagedBackbone`.

    Raises:
        ValueError: the arch or a kernel size is unknown, or there is not one kernel size for each block.
    """

    KEY_MAP = (
        *SHARED_KEY_MAP[:4],
        (r'\.dwconv\.lk_origin\.', r'.depthwise.conv.large.conv.'),
        (r'\.dwconv\.origin_bn\.', r'.depthwise.conv.large.norm.'),
        (r'\.dwconv\.dil_conv_k(\d+)_(\d+)\.', r'.depthwise.conv.dilated.k\1_d\2.conv.'),
        (r'\.dwconv\.dil_bn_k(\d+)_(\d+)\.', r'.depthwise.conv.dilated.k\1_d\2.norm.'),
        (r'\.dwconv\.', r'.depthwise.conv.'),
        (r'^(stages\.\d\.\d+)\.norm\.', r'\1.depthwise.norm.'),
        (r'\.pwconv1\.1\.', r'.expand.'),
        (r'\.act\.1\.', r'.project.'),
        (r'\.pwconv2\.0\.', r'.project.linear.'),
        (r'\.pwconv2\.2\.', r'.project.norm.'),
    )

    def __init__(
        self,
        arch: str | Mapping = 't',
        kernel_sizes: Sequence[Sequence[int]] | None = None,
        drop_path_rate: float = 0.0,
        layer_scale_init_value: float = 1e-6,
        **kwargs,
    ):
        sizes = named_arch(arch, ARCHS)
        depths, dims = sizes['depths'], sizes['dims']
        kernel_sizes = check_four('kernel_sizes', kernel_sizes or default_kernel_sizes(depths))
        if any(isinstance(stage, int) or len(stage) != depth for stage, depth in zip(kernel_sizes, depths)):
            raise ValueError(f'kernel_sizes must be one for each block of {tuple(depths)}, got {kernel_sizes!r}')

        stages = []
        for dim, stage, rates in zip(dims, kernel_sizes, drop_path_rates(drop_path_rate, depths)):
            blocks = [UniRepLKNetBlock(dim, size, rate, layer_scale_init_value) for size, rate in zip(stage, rates)]
            stages.append(blocks)

        stem = nn.Sequential(*_halve(3, dims[0] // 2), GELU(), *_halve(dims[0] // 2, dims[0]))
        downsamples = [nn.Sequential(*_halve(before, after)) for before, after in pairwise(dims)]
        super().__init__(stem, downsamples, stages, dims, LayerNorm2d, **kwargs)
        self.apply(init_like_the_authors)

    def switch_to_deploy(self) -> None:
        """Merge the branches as in the base class, and the shift of the response norm into the projection."""
        super().switch_to_deploy()
        self.KEY_MAP = (*type(self).KEY_MAP, *MERGED_KEY_MAP)

    @classmethod
    def arguments_of(cls, weights: Mapping[str, Tensor]) -> dict:
        """Return the arguments that fit ``weights``; see the base class."""
        depths = stage_depths(weights)
        dims = tuple(weights[f'stages.{i}.0.gamma'].shape[0] for i in range(4))
        # The depthwise kernel is here in a merged model, in one with branches, and, under the map for branches, in a
        # checkpoint that the authors merged.
        places = ('depthwise', 'depthwise.conv', 'depthwise.conv.large.conv')

        kernel_sizes = []
        for stage, depth in enumerate(depths):
            blocks = [f'{stage}.{index}' for index in range(depth)]
            layers = [f'stages.{block}.{first_layer(weights, *places, block=block)}' for block in blocks]
            kernel_sizes.append(tuple(weights[f'{layer}.weight'].shape[-1] for layer in layers))

        arguments = dict(arch=arch_name(dict(depths=depths, dims=dims), ARCHS))
        if tuple(kernel_sizes) != default_kernel_sizes(depths):
            arguments['kernel_sizes'] = tuple(kernel_sizes)
        if 'stages.0.0.project.beta' not in weights:
            arguments['deploy'] = True

        return arguments


def default_kernel_sizes(depths: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Return the authors' kernel size of each block."""
    every = LARGE_EVERY.get(depths[2], 1)
    third = tuple(LARGE if index % every == 0 else SMALL for index in range(depths[2]))

    return (SMALL,) * depths[0], (LARGE,) * depths[1], third, (LARGE,) * depths[3]


def _halve(before: int, after: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(before, after, 3, stride=2, padding=1), LayerNorm2d(after)
