"""Larger depthwise kernels in any model, which at first computes what it did before.

The experiment of RepLKNet on MobileNetV2 ("Scaling Up Your Kernels to 31x31", CVPR 2022,
https://arxiv.org/abs/2203.06717, table 2) and of SLaK on ConvNeXt: the kernels of a network that works are enlarged.
In a config it is ``type='lkdense.Enlarged'``.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from .depthwise import DepthwiseConv2d, KernelSize, kernel_pair
from .reparam import Mergeable, dilate_kernel, pad_kernel


class EnlargedDepthwise(DepthwiseConv2d):
    """A depthwise convolution with a larger kernel and a small one beside it: ``[N, C, H, W]`` to the same shape.

    It begins as ``conv``, whose kernel lies in the middle of the larger one, with zeros between its taps where it is
    dilated; the small one begins at zero. It also loads the weights of ``conv`` from a checkpoint of the model before
    it was enlarged.

    Args:
        conv: a depthwise convolution of stride 1.
        kernel_size: size of the larger kernel, odd, an int or (height, width), at least what ``conv``'s kernel spans.
        small_kernel: size of the parallel kernel; None for none.

    Raises:
        ValueError: a kernel that is smaller than ``conv``'s, or a small kernel that is not smaller than the large one.
    """

    def __init__(self, conv: nn.Conv2d, kernel_size: KernelSize, small_kernel: int | None = 5):
        size = kernel_pair(kernel_size)
        if any(new < old for new, old in zip(size, span(conv))):
            raise ValueError(f'a kernel that spans {span(conv)} cannot be enlarged to {size}')

        super().__init__(conv.in_channels, size, bias=conv.bias is not None)
        self.before = (conv.kernel_size, conv.dilation[0])
        self.small: DepthwiseConv2d | None = None
        if small_kernel is not None:
            if max(kernel_pair(small_kernel)) >= min(size):
                raise ValueError(f'small_kernel must be smaller than the kernel {size}, got {small_kernel}')
            self.small = DepthwiseConv2d(conv.in_channels, small_kernel, bias=False)
            nn.init.zeros_(self.small.weight)

        self.to(conv.weight)
        self.register_load_state_dict_pre_hook(_take_smaller_kernel)
        self.load_state_dict(conv.state_dict())
        self.requires_grad_(conv.weight.requires_grad)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``[N, C, H, W]``."""
        return super().forward(x) if self.small is None else super().forward(x) + self.small(x)

    def take_smaller_kernel(self, weights: dict[str, Tensor], prefix: str) -> None:
        """Enlarge, in place, the kernel that ``weights`` has for this layer at ``prefix``, if it is a smaller one."""
        weight = weights.get(f'{prefix}weight')
        if weight is None or weight.shape[2:] == self.weight.shape[2:]:
            return

        size, dilation = self.before
        if tuple(weight.shape[2:]) == size:
            weight = dilate_kernel(weight, dilation)
        weights[f'{prefix}weight'] = pad_kernel(weight, self.kernel_size)
        if self.small is not None:
            weights.setdefault(f'{prefix}small.weight', torch.zeros_like(self.small.weight))

    def merged(self) -> DepthwiseConv2d:
        """Return the one depthwise convolution that equals this layer."""
        weights = {'weight': self.weight.detach()}
        if self.small is not None:
            weights['weight'] = self.weight.detach() + pad_kernel(self.small.weight.detach(), self.kernel_size)
        if self.bias is not None:
            weights['bias'] = self.bias.detach()

        single = DepthwiseConv2d(self.in_channels, self.kernel_size, self.bias is not None, self.backend)
        single.to(self.weight).load_state_dict(weights)
        return single


def enlarge_kernels(
    module: nn.Module, sizes: KernelSize | Mapping[str, KernelSize], small_kernel: int | None = 5
) -> list[str]:
    """Replace, in place, depthwise convolutions by larger ones that begin with the same output.

    A convolution is replaced if its stride is 1 and no side of it is larger than the new kernel. Convolutions inside a
    layer that has parallel kernels stay. In the end, ``lkdense.layers.merge_branches`` makes single convolutions of the
    new ones.

    Args:
        module: any model.
        sizes: the size of all new kernels, or a size for each regular expression that is searched for in the names of
            the layers. The first expression that matches counts; a layer that none matches stays as it is.
        small_kernel: the size of the kernels beside them; None for none.

    Returns:
        the names of the layers that were replaced.

    Raises:
        ValueError: there was nothing to replace; it says how many layers were passed over and why.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from lkdense import enlarge_kernels
        >>> net, x = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.ReLU()), torch.randn(1, 4, 9, 9)
        >>> before = net(x)
        >>> enlarge_kernels(net, 13)
        ['0']
        >>> net[0].kernel_size, torch.allclose(net(x), before, atol=1e-5)
        ((13, 13), True)
    """
    rules = sizes if isinstance(sizes, Mapping) else {'': sizes}
    chosen: list[tuple[str, nn.Conv2d, KernelSize]] = []
    passed_over = Counter()
    for name, layer in _depthwise_layers(module):
        size = next((size for pattern, size in rules.items() if re.search(pattern, name)), None)
        obstacle = _obstacle(layer, size)
        if size is None or obstacle:
            passed_over[obstacle] += 1
        else:
            chosen.append((name, layer, size))

    if not chosen:
        reasons = ', '.join(f'{count} {obstacle}' for obstacle, count in passed_over.items()) or 'none'
        raise ValueError(
            f'no depthwise convolution in this {type(module).__name__} can be enlarged to {sizes}; there are: {reasons}'
        )

    for name, layer, size in chosen:
        parent, _, child = name.rpartition('.')
        enlarged = EnlargedDepthwise(layer, size, small_kernel).train(layer.training)
        setattr(module.get_submodule(parent), child, enlarged)
    return [name for name, _, _ in chosen]


def span(conv: nn.Conv2d) -> tuple[int, int]:
    """Return (height, width) of what a kernel covers, which is more than its size where it is dilated."""
    height, width = ((size - 1) * dilation + 1 for size, dilation in zip(conv.kernel_size, conv.dilation))
    return height, width


def _depthwise_layers(module: nn.Module, prefix: str = '') -> Iterator[tuple[str, nn.Conv2d]]:
    for name, child in module.named_children():
        if isinstance(child, Mergeable):
            continue
        if isinstance(child, nn.Conv2d) and child.groups == child.in_channels == child.out_channels > 1:
            yield prefix + name, child
        yield from _depthwise_layers(child, f'{prefix}{name}.')


def _obstacle(conv: nn.Conv2d, size: KernelSize | None) -> str | None:
    """Return, in words that follow a count, why a convolution cannot be replaced by one of ``size``, or None."""
    if size is None:
        return 'with other names'
    if set(conv.stride) != {1}:
        return 'of another stride than 1'
    if len(set(conv.dilation)) > 1 or not all(taps % 2 for taps in conv.kernel_size):
        return 'of even size or with two dilations'
    if conv.padding_mode != 'zeros' or tuple(conv.padding) != tuple(taps // 2 for taps in span(conv)):
        return "with another padding than 'same' by zeros"

    sides = list(zip(kernel_pair(size), span(conv)))
    if any(new < old for new, old in sides) or all(new == old for new, old in sides):
        return 'that are as large or larger'
    return None


def _take_smaller_kernel(layer: EnlargedDepthwise, state: dict, prefix: str, *_) -> None:
    layer.take_smaller_kernel(state, prefix)
