"""The small models of every backbone, which all tests of backbones read."""

import pytest

import lkdense

ARCH = dict(depths=(1, 1, 4, 1), dims=(8, 12, 16, 20))
# Family: its variants, each with the arguments of a tiny model. A new backbone needs one line here.
CASES = {
    'SLaK': {
        'slak': dict(arch=ARCH, kernel_sizes=(13, 11, (9, 7), 7), width_factor=1.3),
        'slak_square': dict(arch=ARCH, kernel_sizes=(13, 11, 9, 7), decompose=False),
    },
    'RepLKNet': {
        'replknet': dict(arch=ARCH, kernel_sizes=(13, 11, 9, 7)),
        'replknet_like_xl': dict(
            arch=ARCH, kernel_sizes=(9, 9, 9, 7), small_kernel=None, dw_ratio=1.5, norm_outputs=True
        ),
    },
    'ConvNeXt': {
        'convnext': dict(arch=ARCH),
        'convnext_enlarged': dict(arch=ARCH, kernel_sizes=(31, 29, (7, 27), 13), small_kernel=5),
        'convnext_without_scale': dict(arch=ARCH, layer_scale_init_value=0),
    },
    'UniRepLKNet': {
        'unireplknet': dict(arch=ARCH, kernel_sizes=((3,), (7,), (13, 3, 9, 3), (5,)), layer_scale_init_value=1.0),
    },
}

OFFICIAL_ARCH = dict(depths=(1, 1, 2, 1), dims=(8, 16, 24, 32))
# Checkpoint in tests/official, written by the authors' code: the family and the arguments of its model.
OFFICIAL_CASES = {
    'slak_51_decomposed': ('SLaK', dict(arch=OFFICIAL_ARCH)),
    'replknet_31_small5': ('RepLKNet', dict(arch=OFFICIAL_ARCH)),
    'convnext_7': ('ConvNeXt', dict(arch=OFFICIAL_ARCH)),
    'unireplknet_train': (
        'UniRepLKNet',
        dict(
            arch=dict(depths=(2, 2, 3, 2), dims=(8, 16, 24, 32)), kernel_sizes=((3, 3), (13, 13), (13, 3, 13), (13, 13))
        ),
    ),
}

VARIANTS = {name: (family, arguments) for family, cases in CASES.items() for name, arguments in cases.items()}


@pytest.fixture(scope='session')
def cases():
    """The tiny variants of all families, for tests of the list itself."""
    return CASES


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS)
def variant(request):
    """The class of a backbone, and the arguments of a tiny model of it."""
    family, arguments = request.param

    return getattr(lkdense, family), arguments


@pytest.fixture
def make(variant):
    """Build a tiny backbone, with other arguments where they are named."""
    family, arguments = variant

    return lambda **changes: family(**{**arguments, **changes})


@pytest.fixture(params=OFFICIAL_CASES.items(), ids=OFFICIAL_CASES)
def official(request):
    """The name of an official checkpoint, and the class and arguments of its model."""
    name, (family, arguments) = request.param

    return name, getattr(lkdense, family), arguments
