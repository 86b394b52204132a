"""RepLKNet. "Scaling Up Your Kernels to 31x31: Revisiting Large Kernel Design in CNNs", CVPR 2022.

Paper: https://arxiv.org/abs/2203.06717    Authors' code: https://github.com/DingXiaoH/RepLKNet-pytorch
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

from mmengine.registry import MODELS
from torch import Tensor, nn

from ..layers import GELU, ConvNorm, DropPath, KernelSize, PointwiseConv2d, SquareLargeKernel, drop_path_rates
from .base import StagedBackbone, check_four, first_layer, named_arch, stage_depths
from .convnext import arch_name, kernel_sizes_of

LARGE_KERNELS = dict(kernel_sizes=(31, 29, 27, 13), small_kernel=5, dw_ratio=1)
ARCHS = {
    'pico': dict(depths=(1, 1, 3, 1), dims=(64, 128, 256, 512), **LARGE_KERNELS),
    '31b': dict(depths=(2, 2, 18, 2), dims=(128, 256, 512, 1024), **LARGE_KERNELS),
    '31l': dict(depths=(2, 2, 18, 2), dims=(192, 384, 768, 1536), **LARGE_KERNELS),
    'xl': dict(
        depths=(2, 2, 18, 2),
        dims=(256, 512, 1024, 2048),
        kernel_sizes=(27, 27, 27, 13),
        small_kernel=None,
        dw_ratio=1.5,
    ),
}


class LargeKernelBlock(nn.Module):
    """Mixes pixels: norm, pointwise, large depthwise and pointwise convolution; ``[N, C, H, W]`` to the same shape.

    Args:
        dim: the number of channels, C.
        hidden: the width of the depthwise convolution.
        kernel_size: an odd number or (height, width).
        small_kernel: the size of the parallel kernel, or None.
        drop_path_rate: the probability of dropping the block.
    """

    def __init__(self, dim: int, hidden: int, kernel_size: KernelSize, small_kernel: int | None, drop_path_rate: float):
        super().__init__()
        self.norm = nn.SyncBatchNorm(dim)
        self.expand = ConvNorm(PointwiseConv2d(dim, hidden, bias=False))
        self.depthwise = SquareLargeKernel(hidden, kernel_size, small_kernel)
        self.project = ConvNorm(PointwiseConv2d(hidden, dim, bias=False))
        self.act = nn.ReLU(inplace=True)
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: Tensor) -> Tensor:
        """Add the block's residual to ``x``."""
        residual = self.act(self.expand(self.norm(x)))
        residual = self.project(self.act(self.depthwise(residual)))
        return x + self.drop_path(residual)


class ConvFFN(nn.Module):
    """Mixes channels: norm and two pointwise convolutions; ``[N, C, H, W]`` to the same shape.

    Args:
        dim: the number of channels, C.
        hidden: the width between the convolutions.
        drop_path_rate: the probability of dropping the block.
    """

    def __init__(self, dim: int, hidden: int, drop_path_rate: float):
        super().__init__()
        self.norm = nn.SyncBatchNorm(dim)
        self.expand = ConvNorm(PointwiseConv2d(dim, hidden, bias=False))
        self.project = ConvNorm(PointwiseConv2d(hidden, dim, bias=False))
        self.act = GELU()
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: Tensor) -> Tensor:
        """Add the block's residual to ``x``."""
        return x + self.drop_path(self.project(self.act(self.expand(self.norm(x)))))


@MODELS.register_module()
class RepLKNet(StagedBackbone):
    """RepLKNet: an image ``[N, 3, H, W]`` to a tuple of maps at strides 4, 8, 16 and 32.

    >>> import torch
    >>> backbone = RepLKNet(arch='pico').eval()
    >>> image = torch.randn(1, 3, 64, 64)
    >>> before = backbone(image)
    >>> [tuple(output.shape) for output in before]
    [(1, 64, 16, 16), (1, 128, 8, 8), (1, 256, 4, 4), (1, 512, 2, 2)]
    >>> backbone.switch_to_deploy()
    >>> torch.testing.assert_close(backbone(image), before, rtol=0, atol=1e-4)

    Args:
        arch: a name of ``ARCHS`` or ``dict(depths=..., dims=...)``, which takes the kernels of 31b.
        kernel_sizes: the kernel of each stage: an odd number or (height, width); None for the arch's own.
        small_kernel: the size of the parallel kernel; None for none, ``'arch'`` for the arch's own.
        dw_ratio: the width of the depthwise convolution over that of the stage; None for the arch's own.
        ffn_ratio: the hidden width of the channel mixing over that of the stage.
        norm_outputs: batch-normalize each output, as the authors do for XL only.
        drop_path_rate: the rate of the last block; the rates grow linearly from 0.
        **kwargs: ``out_indices``, ``frozen_stages``, ``with_cp``, ``deploy``, ``init_cfg`` of :class:`StagedBackbone`.

    Raises:
        ValueError: the arch is unknown, a kernel size is even, or the small kernel is not smaller.
    """

    KEY_MAP = (
        (r'^transitions\.', r'downsamples.'),
        (r'^stages\.(\d)\.norm\.', r'norm\1.'),
        (r'^stages\.(\d)\.blocks\.', r'stages.\1.'),
        (r'\.large_kernel\.lkb_origin\.', r'.depthwise.large.'),
        (r'\.large_kernel\.lkb_reparam\.', r'.depthwise.large.conv.'),
        (r'\.large_kernel\.small_conv\.', r'.depthwise.small.'),
        (r'\.(prelkb|preffn)_bn\.', r'.norm.'),
        (r'\.pw1\.', r'.expand.'),
        (r'\.pw2\.', r'.project.'),
        (r'\.bn\.', r'.norm.'),
        # The authors keep the activation between two convolutions inside the first; ours makes a pair of them.
        (r'^(stem|downsamples\.\d)\.(\d)\.(conv|norm)\.', r'\1.\2.0.\3.'),
    )

    def __init__(
        self,
        arch: str | Mapping = '31b',
        kernel_sizes: Sequence[KernelSize] | None = None,
        small_kernel: int | Literal['arch'] | None = 'arch',
        dw_ratio: float | None = None,
        ffn_ratio: float = 4,
        norm_outputs: bool = False,
        drop_path_rate: float = 0.0,
        **kwargs,
    ):
        sizes = {**LARGE_KERNELS, **named_arch(arch, ARCHS)}
        depths, dims = sizes['depths'], sizes['dims']
        kernel_sizes = check_four('kernel_sizes', kernel_sizes or sizes['kernel_sizes'])
        small_kernel = sizes['small_kernel'] if small_kernel == 'arch' else small_kernel
        dw_ratio = dw_ratio or sizes['dw_ratio']

        stages = []
        for dim, kernel_size, rates in zip(dims, kernel_sizes, drop_path_rates(drop_path_rate, depths)):
            blocks = []
            for rate in rates:
                blocks.append(LargeKernelBlock(dim, int(dim * dw_ratio), kernel_size, small_kernel, rate))
                blocks.append(ConvFFN(dim, int(dim * ffn_ratio), rate))
            stages.append(blocks)

        downsamples = [
            nn.Sequential(_pointwise(before, after), _depthwise(after, stride=2)) for before, after in pairwise(dims)
        ]
        super().__init__(_stem(dims[0]), downsamples, stages, dims, nn.SyncBatchNorm, norm_outputs, **kwargs)

    @classmethod
    def arguments_of(cls, weights: Mapping[str, Tensor]) -> dict:
        """Return the arguments that fit ``weights``; see the base class."""
        layer = first_layer(weights, 'depthwise.large.conv', 'depthwise')
        merged = layer == 'depthwise'
        expand = 'expand' if merged else 'expand.conv'
        small = weights.get('stages.0.0.depthwise.small.conv.weight')

        dims = tuple(weights[f'stages.{i}.0.norm.weight'].shape[0] for i in range(4))
        # A stage holds two blocks of ours for each of the authors'.
        depths = tuple(blocks // 2 for blocks in stage_depths(weights))

        arguments = dict(
            arch=arch_name(dict(depths=depths, dims=dims), ARCHS),
            kernel_sizes=kernel_sizes_of(weights, layer),
            small_kernel=None if small is None else small.shape[-1],
            dw_ratio=weights[f'stages.0.0.{layer}.weight'].shape[0] / dims[0],
            ffn_ratio=weights[f'stages.0.1.{expand}.weight'].shape[0] / dims[0],
            norm_outputs='norm0.weight' in weights,
        )
        if merged:
            arguments['deploy'] = True

        return arguments


def _stem(dim: int) -> nn.Sequential:
    dense = nn.Conv2d(3, dim, 3, stride=2, padding=1, bias=False)
    return nn.Sequential(
        nn.Sequential(ConvNorm(dense), nn.ReLU(inplace=True)),
        _depthwise(dim),
        _pointwise(dim, dim),
        _depthwise(dim, stride=2),
    )


def _depthwise(dim: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(dim, dim, 3, stride=stride, padding=1, groups=dim, bias=False)
    return nn.Sequential(ConvNorm(conv), nn.ReLU(inplace=True))


def _pointwise(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(ConvNorm(PointwiseConv2d(before, after, bias=False)), nn.ReLU(inplace=True))
