"""SLaK. "More ConvNets in the 2020s: Scaling up Kernels Beyond 51x51 using Sparsity", ICLR 2023.

Paper: https://arxiv.org/abs/2207.03620    Authors' code: https://github.com/VITA-Group/SLaK
"""

from collections.abc import Mapping, Sequence

from mmengine.registry import MODELS
from torch import Tensor

from ..layers import KernelSize, SquareLargeKernel, StripLargeKernel
from .base import check_four, first_layer, named_arch, stage_depths
from .convnext import SHARED_KEY_MAP, ConvNeXtLike, arch_name, kernel_sizes_of, stage_dims

# The widths are those before the width factor.
ARCHS = {
    'pico': dict(depths=(2, 2, 6, 2), dims=(64, 128, 256, 512)),
    'tiny': dict(depths=(3, 3, 9, 3), dims=(96, 192, 384, 768)),
    'small': dict(depths=(3, 3, 27, 3), dims=(96, 192, 384, 768)),
    'base': dict(depths=(3, 3, 27, 3), dims=(128, 256, 512, 1024)),
    'large': dict(depths=(3, 3, 27, 3), dims=(192, 384, 768, 1536)),
}
WIDTH_FACTOR = 1.3


@MODELS.register_module()
class SLaK(ConvNeXtLike):
    """SLaK: an image ``[N, 3, H, W]`` to a tuple of normalized maps at strides 4, 8, 16 and 32.

    >>> import torch
    >>> backbone = SLaK(arch='pico').eval()
    >>> backbone.stages[0][0].depthwise.vertical.conv.kernel_size
    (51, 5)
    >>> [tuple(output.shape) for output in backbone(torch.randn(1, 3, 64, 64))]
    [(1, 83, 16, 16), (1, 166, 8, 8), (1, 332, 4, 4), (1, 665, 2, 2)]

    Args:
        arch: a name of ``ARCHS`` or ``dict(depths=..., dims=...)``.
        kernel_sizes: the kernel of each stage: an odd number or (height, width).
        small_kernel: the short side of the strips and the size of the parallel kernel. None is for square kernels
            only, which then have no parallel kernel.
        decompose: decompose each kernel into two strips; otherwise it is square, as in RepLKNet.
        width_factor: the factor of the arch's widths; the products are rounded down.
        drop_path_rate: the rate of the last block; the rates grow linearly from 0.
        layer_scale_init_value: the initial value of each residual's learned scale; 0 for no scale. The authors use
            1.0 for dense prediction and 1e-6 for ImageNet.
        **kwargs: ``norm_outputs``, ``out_indices``, ``frozen_stages``, ``with_cp``, ``deploy`` and ``init_cfg`` of
            :class:`StagedBackbone`.

    Raises:
        ValueError: the arch is unknown, a kernel size is even, or the small kernel is not smaller.
    """

    KEY_MAP = (
        *SHARED_KEY_MAP,
        (r'\.large_kernel\.(LoRA|Decom)1\.', r'.depthwise.vertical.'),
        (r'\.large_kernel\.(LoRA|Decom)2\.', r'.depthwise.horizontal.'),
        (r'\.large_kernel\.lkb_origin\.', r'.depthwise.large.'),
        (r'\.large_kernel\.lkb_reparam\.', r'.depthwise.large.conv.'),
        (r'\.large_kernel\.small_conv\.', r'.depthwise.small.'),
        (r'\.bn\.', r'.norm.'),
    )

    def __init__(
        self,
        arch: str | Mapping = 'tiny',
        kernel_sizes: Sequence[KernelSize] = (51, 49, 47, 13),
        small_kernel: int | None = 5,
        decompose: bool = True,
        width_factor: float = WIDTH_FACTOR,
        drop_path_rate: float = 0.0,
        layer_scale_init_value: float = 1.0,
        **kwargs,
    ):
        sizes = named_arch(arch, ARCHS)
        depths, dims = sizes['depths'], [int(dim * width_factor) for dim in sizes['dims']]

        large_kernel = StripLargeKernel if decompose else SquareLargeKernel
        depthwise = []
        for depth, dim, kernel_size in zip(depths, dims, check_four('kernel_sizes', kernel_sizes)):
            depthwise.append([large_kernel(dim, kernel_size, small_kernel) for _ in range(depth)])

        super().__init__(depths, dims, depthwise, drop_path_rate, layer_scale_init_value, **kwargs)

    @classmethod
    def arguments_of(cls, weights: Mapping[str, Tensor]) -> dict:
        """Return the arguments that fit ``weights``; see the base class."""
        vertical = 'depthwise.vertical.conv', 'depthwise.vertical'
        square = 'depthwise.large.conv', 'depthwise'
        layer = first_layer(weights, *vertical, *square)
        horizontal = layer.replace('vertical', 'horizontal')

        # The strips of a merged kernel contain the small kernel; their short side is its size.
        merged_strips = layer == 'depthwise.vertical'
        small = weights.get(f'stages.0.0.{layer if merged_strips else "depthwise.small.conv"}.weight')

        arguments = dict(
            **_arch_and_width(stage_depths(weights), stage_dims(weights)),
            kernel_sizes=kernel_sizes_of(weights, layer, horizontal),
            small_kernel=None if small is None else small.shape[-1],
            decompose=layer in vertical,
        )
        if 'stages.0.0.gamma' not in weights:
            arguments['layer_scale_init_value'] = 0
        if not layer.endswith('conv'):
            arguments['deploy'] = True

        return arguments


def _arch_and_width(depths: Sequence[int], dims: Sequence[int]) -> dict:
    sizes = dict(depths=depths, dims=dims)

    for factor in (WIDTH_FACTOR, 1.0):
        widened = {}
        for name, arch in ARCHS.items():
            widened[name] = dict(arch, dims=tuple(int(dim * factor) for dim in arch['dims']))

        name = arch_name(sizes, widened)
        if isinstance(name, str):
            return dict(arch=name, width_factor=factor)

    return dict(arch=sizes, width_factor=1.0)
