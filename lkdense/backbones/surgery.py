"""Backbones of any host, altered in the config: larger depthwise kernels, or no shortcuts around their blocks.

``backbone=dict(type='lkdense.Enlarged', sizes=13, backbone=dict(type='MobileNetV2', ...))``

They are the experiments that RepLKNet's guidelines rest on ("Scaling Up Your Kernels to 31x31", CVPR 2022,
https://arxiv.org/abs/2203.06717). The result is the host's own backbone, with its methods and the names of its weights.
"""

from collections.abc import Mapping
from functools import partial

from mmengine.registry import MODELS, DefaultScope
from torch import nn

from ..layers import KernelSize, enlarge_kernels, merge_branches

# Blocks of mmseg and mmdet have one of these attributes: whether they add their input to their output.
SHORTCUTS = ('use_res_connect', 'with_res_shortcut', 'add_identity')


# A config names it as it names the class of a backbone, so this function has the name of a class.
@MODELS.register_module()
def Enlarged(
    backbone: dict,
    sizes: KernelSize | Mapping[str, KernelSize],
    small_kernel: int | None = 5,
    deploy: bool = False,
) -> nn.Module:
    """Build a backbone with larger depthwise kernels whose initial output is that of the backbone without them.

    The ``init_cfg`` inside is followed with the original kernels. Checkpoints of the original backbone load, and so do
    those of the enlarged one.

    >>> import torch
    >>> plain = dict(type='ConvNeXt', arch=dict(depths=(1, 1, 1, 1), dims=(8, 16, 24, 32)))
    >>> backbone = MODELS.build(dict(type='Enlarged', sizes=13, backbone=plain))
    >>> backbone.stages[0][0].depthwise.kernel_size
    (13, 13)
    >>> [tuple(output.shape) for output in backbone(torch.randn(1, 3, 64, 64))]
    [(1, 8, 16, 16), (1, 16, 8, 8), (1, 24, 4, 4), (1, 32, 2, 2)]

    Args:
        backbone: a config of any backbone.
        sizes: the sizes of the new kernels, as in :func:`lkdense.enlarge_kernels`.
        small_kernel: the size of the kernels beside them; None for none.
        deploy: build it merged, as ``switch_to_deploy`` leaves it, for merged weights.

    Raises:
        ValueError: no kernel can be enlarged, or the sizes do not fit.
    """
    model = MODELS.build(backbone)
    enlarge_kernels(model, sizes, small_kernel)

    scope = DefaultScope.get_current_instance()
    original = {'_scope_': scope and scope.scope_name, **backbone}
    model.init_weights = partial(_begin_as, model, original)

    if not hasattr(model, 'switch_to_deploy'):
        model.switch_to_deploy = partial(merge_branches, model)
    if deploy:
        model.switch_to_deploy()

    return model


@MODELS.register_module()
def WithoutShortcuts(backbone: dict) -> nn.Module:
    """Build a backbone whose blocks do not add their input to their output.

    >>> from lkdense.config import register_all_of, without_onedl_notice
    >>> with without_onedl_notice():
    ...     register_all_of('mmseg')
    >>> backbone = MODELS.build(dict(type='WithoutShortcuts', backbone=dict(type='mmseg.MobileNetV2')))
    >>> backbone.layer2[1].use_res_connect
    False

    Args:
        backbone: a config of a backbone whose blocks have a switch for their shortcut, such as mmseg's MobileNetV2.

    Raises:
        ValueError: no block has such a switch.
    """
    model = MODELS.build(backbone)

    switches = []
    for block in model.modules():
        switches += [(block, name) for name in SHORTCUTS if getattr(block, name, False)]

    if not switches:
        raise ValueError(f'no block of this {type(model).__name__} has one of {", ".join(SHORTCUTS)} to switch off')

    for block, name in switches:
        setattr(block, name, False)

    return model


def _begin_as(model: nn.Module, config: dict) -> None:
    """Initialise ``model`` as the backbone of ``config``, whose kernels are not enlarged."""
    # MMEngine records every parameter of a model that it initialises, so this takes a second model.
    original = MODELS.build(config)
    original.init_weights()
    model.load_state_dict(original.state_dict())
