"""Larger depthwise kernels in any model, which at first computes what it did before.

The experiment of RepLKNet on MobileNetV2 ("Scaling Up Your Kernels to 31x31", CVPR 2022,
https://arxiv.org/abs/2203.06717, table 2) and of SLaK on ConvNeXt: the kernels of a network that works are enlarged.
"""

import re
from collections.abc import Mapping

from torch import Tensor, nn

from .layers import DepthwiseConv2d, KernelSize, kernel_pair, pad_kernel


class EnlargedDepthwise(DepthwiseConv2d):
    """A depthwise convolution with a larger kernel and a small one beside it: ``[N, C, H, W]`` to the same shape.

    It begins as ``conv``, whose kernel lies in the middle of the larger one; the small one begins at zero. It also
    loads the weights of ``conv``, as a checkpoint of the model before it was enlarged has them.

    Args:
        conv: a depthwise convolution of stride 1.
        kernel_size: of the larger kernel, odd, an int or (height, width), not smaller than ``conv``'s in either side.
        small_kernel: size of the parallel kernel; None for none.

    Raises:
        ValueError: a kernel that is smaller than ``conv``'s, or a small kernel that is not smaller than the large one.
    """

    def __init__(self, conv: nn.Conv2d, kernel_size: KernelSize, small_kernel: int | None = 5):
        size = kernel_pair(kernel_size)
        if any(new < old for new, old in zip(size, conv.kernel_size)):
            raise ValueError(f'a kernel of {conv.kernel_size} cannot be enlarged to {size}')
        super().__init__(conv.in_channels, size, bias=conv.bias is not None)
        self.small = None
        if small_kernel is not None:
            if max(kernel_pair(small_kernel)) >= min(size):
                raise ValueError(f'small_kernel must be smaller than the kernel {size}, got {small_kernel}')
            self.small = DepthwiseConv2d(conv.in_channels, small_kernel, bias=False)
            nn.init.zeros_(self.small.weight)
        self.to(conv.weight)
        self.weight.data.copy_(pad_kernel(conv.weight.detach(), size))
        if conv.bias is not None:
            self.bias.data.copy_(conv.bias.detach())
        self.register_load_state_dict_pre_hook(_take_smaller_kernels)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``[N, C, H, W]``."""
        return super().forward(x) if self.small is None else super().forward(x) + self.small(x)

    def merged(self) -> DepthwiseConv2d:
        """Return the one depthwise convolution that equals this layer."""
        single = DepthwiseConv2d(self.in_channels, self.kernel_size, self.bias is not None, self.backend).to(
            self.weight
        )
        small = 0 if self.small is None else pad_kernel(self.small.weight.detach(), self.kernel_size)
        single.weight.data.copy_(self.weight.detach() + small)
        if self.bias is not None:
            single.bias.data.copy_(self.bias.detach())
        return single


def enlarge_kernels(
    module: nn.Module, sizes: KernelSize | Mapping[str, KernelSize], small_kernel: int | None = 5
) -> list[str]:
    """Replace, in place, depthwise convolutions by larger ones that begin with the same output.

    Those of stride 1 without dilation are replaced, if they are smaller; ``lkdense.layers.merge_branches`` makes single
    convolutions of them in the end. Our own backbones check a checkpoint as a whole: enlarge them after loading.

    Args:
        module: any model.
        sizes: of all new kernels, or one for each regular expression that is found in the name of a layer: the first
            that is found counts, and a layer for which none is stays as it is.
        small_kernel: of the kernels beside them; None for none.

    Returns:
        the names of the layers that were replaced.

    Raises:
        ValueError: nothing was there to replace.
    """
    rules = sizes if isinstance(sizes, Mapping) else {'': sizes}
    chosen = []
    for name, layer in module.named_modules():
        size = next((size for pattern, size in rules.items() if re.search(pattern, name)), None)
        if (
            size is not None
            and _is_plain_depthwise(layer)
            and any(map(int.__gt__, kernel_pair(size), layer.kernel_size))
        ):
            chosen.append((name, layer, size))
    if not chosen:
        raise ValueError(
            f'no depthwise convolution of stride 1 in this {type(module).__name__} is smaller than {sizes}'
        )
    for name, layer, size in chosen:
        parent, _, child = name.rpartition('.')
        setattr(module.get_submodule(parent), child, EnlargedDepthwise(layer, size, small_kernel).train(layer.training))
    return [name for name, _, _ in chosen]


def _is_plain_depthwise(layer: nn.Module) -> bool:
    return (
        isinstance(layer, nn.Conv2d)
        and not isinstance(layer, EnlargedDepthwise)
        and layer.groups == layer.in_channels == layer.out_channels > 1
        and set(layer.stride) == set(layer.dilation) == {1}
        and all(size % 2 for size in layer.kernel_size)
        and tuple(layer.padding) == tuple(size // 2 for size in layer.kernel_size)
    )


def _take_smaller_kernels(layer: EnlargedDepthwise, state: dict, prefix: str, *_) -> None:
    weight = state.get(f'{prefix}weight')
    if weight is not None and weight.shape[2:] != layer.weight.shape[2:]:
        state[f'{prefix}weight'] = pad_kernel(weight, layer.kernel_size)
        if layer.small is not None:
            state.setdefault(f'{prefix}small.weight', layer.small.weight.detach().new_zeros(layer.small.weight.shape))
