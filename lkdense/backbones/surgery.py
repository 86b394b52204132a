"""Backbones of any host, altered in the config: larger depthwise kernels, or no shortcuts around their blocks.

``backbone=dict(type='lkdense.Enlarged', sizes=13, backbone=dict(type='MobileNetV2', ...))``

They are the experiments that RepLKNet's guidelines rest on ("Scaling Up Your Kernels to 31x31", CVPR 2022,
https://arxiv.org/abs/2203.06717). What is built is the host's own backbone, so the names of its weights and all that
asks for its methods stay as they are.
"""

from collections.abc import Mapping
from functools import partial

from mmengine.registry import MODELS, DefaultScope
from torch import nn

from ..enlarge import enlarge_kernels
from ..layers import KernelSize, merge_branches

# what blocks of mmseg and mmdet call the choice to add their input
SHORTCUTS = ('use_res_connect', 'with_res_shortcut', 'add_identity')


# functions, but named as configs name what they build
@MODELS.register_module()
def Enlarged(
    backbone: dict,
    sizes: KernelSize | Mapping[str, KernelSize],
    small_kernel: int | None = 5,
    deploy: bool = False,
) -> nn.Module:
    """Build a backbone with larger depthwise kernels, which begins with the output that it had without them.

    The ``init_cfg`` inside is followed with the kernels as they were. Checkpoints from before load, and so do those of
    the enlarged backbone.

    Args:
        backbone: a config of any backbone.
        sizes: of the new kernels, see :func:`lkdense.enlarge_kernels`.
        small_kernel: of the kernels beside them; None for none.
        deploy: built as ``switch_to_deploy`` leaves it, for merged weights.

    Raises:
        ValueError: nothing was there to enlarge, or sizes that do not fit.
    """
    model = MODELS.build(backbone)
    enlarge_kernels(model, sizes, small_kernel)
    scope = DefaultScope.get_current_instance()
    before = {'_scope_': scope and scope.scope_name, **backbone}
    model.init_weights = partial(_begin_as, model, before)

    if not hasattr(model, 'switch_to_deploy'):
        model.switch_to_deploy = partial(merge_branches, model)
    if deploy:
        model.switch_to_deploy()

    return model


@MODELS.register_module()
def WithoutShortcuts(backbone: dict) -> nn.Module:
    """Build a backbone whose blocks do not add their input to their output.

    Args:
        backbone: a config of a backbone of mmseg or mmdet with a switch for it in its blocks, such as MobileNetV2.

    Raises:
        ValueError: none of its blocks has such a switch.
    """
    model = MODELS.build(backbone)
    found = [(block, name) for block in model.modules() for name in SHORTCUTS if getattr(block, name, False)]
    if not found:
        raise ValueError(f'no block of this {type(model).__name__} has one of {", ".join(SHORTCUTS)} to switch off')
    for block, name in found:
        setattr(block, name, False)
    return model


def _begin_as(model: nn.Module, backbone: dict) -> None:
    # a second one is built, because MMEngine keeps a record of the parameters that it initialises in the first
    before = MODELS.build(backbone)
    before.init_weights()
    model.load_state_dict(before.state_dict())
