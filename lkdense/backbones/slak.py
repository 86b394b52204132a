"""SLaK. "More ConvNets in the 2020s: Scaling up Kernels Beyond 51x51 using Sparsity", ICLR 2023.

Paper: https://arxiv.org/abs/2207.03620    Authors' code: https://github.com/VITA-Group/SLaK
"""

from collections.abc import Mapping, Sequence

from mmengine.registry import MODELS
from torch import Tensor

from ..layers import KernelSize, SquareLargeKernel, StripLargeKernel
from .base import first_layer, four, named_arch, stage_depths
from .convnext import SHARED_KEY_MAP, ConvNeXtLike, arch_name, kernel_sizes_of, stage_dims

ARCHS = {  # before the width factor
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

    Args:
        arch: a name of ``ARCHS`` or ``dict(depths=..., dims=...)``.
        kernel_sizes: of each stage, odd, an int or (height, width).
        small_kernel: the strips' short side and the size of the parallel kernel; None only without strips, for a
            large kernel alone.
        decompose: two strips a kernel; otherwise one square kernel, as in RepLKNet.
        width_factor: multiplies the arch's widths, rounded down.
        drop_path_rate: the last block's; it grows linearly from 0.
        layer_scale_init_value: start of the learned scale of each residual; 0 for no scale. The authors use 1.0 for
            dense prediction and 1e-6 for ImageNet.
        **kwargs: ``norm_outputs``, ``out_indices``, ``frozen_stages``, ``with_cp``, ``deploy`` and ``init_cfg`` of
            :class:`StagedBackbone`.

    Raises:
        ValueError: an unknown arch, an even kernel size, or a small kernel that is not smaller.
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
        dims = [int(dim * width_factor) for dim in sizes['dims']]
        large_kernel = StripLargeKernel if decompose else SquareLargeKernel
        depthwise = [
            [large_kernel(dim, kernel_size, small_kernel) for _ in range(depth)]
            for depth, dim, kernel_size in zip(sizes['depths'], dims, four('kernel_sizes', kernel_sizes))
        ]
        super().__init__(sizes['depths'], dims, depthwise, drop_path_rate, layer_scale_init_value, **kwargs)

    @classmethod
    def arguments_of(cls, weights: Mapping[str, Tensor]) -> dict:
        """Return the arguments that fit ``weights``; see the base class."""
        layer = first_layer(
            weights, 'depthwise.vertical.conv', 'depthwise.vertical', 'depthwise.large.conv', 'depthwise'
        )
        small = weights.get('stages.0.0.depthwise.small.conv.weight')
        if layer == 'depthwise.vertical':
            small = weights['stages.0.0.depthwise.vertical.weight']

        arguments = dict(
            **_arch_and_width(stage_depths(weights), stage_dims(weights)),
            kernel_sizes=kernel_sizes_of(weights, layer, layer.replace('vertical', 'horizontal')),
            small_kernel=None if small is None else small.shape[-1],
            decompose='vertical' in layer,
        )
        return arguments if layer.endswith('conv') else dict(arguments, deploy=True)


def _arch_and_width(depths: Sequence[int], dims: Sequence[int]) -> dict:
    for factor in (WIDTH_FACTOR, 1.0):
        widened = {
            name: dict(depths=arch['depths'], dims=tuple(int(dim * factor) for dim in arch['dims']))
            for name, arch in ARCHS.items()
        }
        if isinstance(name := arch_name(dict(depths=depths, dims=dims), widened), str):
            return dict(arch=name, width_factor=factor)
    return dict(arch=dict(depths=depths, dims=dims), width_factor=1.0)
