"""Official checkpoints: take off what the authors wrapped them in, rename their entries, and check that they fit.

A backbone states its ``KEY_MAP``, pairs of a regular expression and its replacement that turn the authors' names
into ours and leave ours alone. Nothing is loaded unless it fits as a whole.
"""

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

KeyMap = Iterable[tuple[str, str]]

# A segmentor or detector keeps its backbone's entries under this prefix.
BACKBONE = 'backbone.'
# Authors and frameworks keep the weights under these names; the authors' own loaders look in this order.
WRAPPERS = ('state_dict', 'model', 'model_ema')
# The classifier and the norm before it: a backbone for dense prediction does not have them.
CLASSIFIER = re.compile(r'(head|norm)\.')
# All families use this epsilon in their batch norms.
NORM_EPS = 1e-5
# The norms of the outputs: classification checkpoints do not have them.
OUTPUT_NORM = re.compile(r'norm\d\.')


def unwrap(checkpoint: Mapping) -> dict[str, Tensor]:
    """Return the weights of a checkpoint, out of its wrapper and without data-parallel training's ``module.``.

    >>> unwrap({'epoch': 300, 'model': {'module.stem.weight': torch.ones(1)}})
    {'stem.weight': tensor([1.])}
    """
    for name in WRAPPERS:
        if isinstance(checkpoint.get(name), Mapping):
            return unwrap(checkpoint[name])

    return {key.removeprefix('module.'): value for key, value in checkpoint.items()}


def rename(weights: Mapping[str, Tensor], key_map: KeyMap) -> dict[str, Tensor]:
    """Return ``weights`` under our names."""
    renamed = {}

    for key, value in weights.items():
        for pattern, replacement in key_map:
            key = re.sub(pattern, replacement, key)
        renamed[key] = value

    return renamed


def backbone_weights(state_dict: Mapping, prefix: str, key_map: KeyMap) -> dict[str, Tensor]:
    """Return what ``state_dict`` holds for a backbone that sits at ``prefix`` of a model, under our names.

    A backbone on its own (an empty prefix) also takes a classification checkpoint, without its classifier, and the
    checkpoint of a whole model, of which it takes the part below ``backbone.``.
    """
    weights = state_dict if prefix else unwrap(state_dict)
    if not prefix and any(key.startswith(BACKBONE) for key in weights):
        prefix = BACKBONE

    own = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
    ours = rename(own, key_map)

    return with_norms({key: value for key, value in ours.items() if not CLASSIFIER.match(key)})


def with_norms(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Turn the bias of every merged convolution ``....conv`` into a batch norm ``....norm`` that adds it.

    RepLKNet's authors merge the large kernels alone and publish the rest with its norms.
    """
    complete = dict(weights)

    for key, bias in weights.items():
        norm = f'{key.removesuffix(".conv.bias")}.norm'
        if not key.endswith('.conv.bias') or f'{norm}.weight' in weights:
            continue

        del complete[key]
        complete[f'{norm}.weight'] = torch.ones_like(bias)
        complete[f'{norm}.bias'] = bias
        complete[f'{norm}.running_mean'] = torch.zeros_like(bias)
        complete[f'{norm}.running_var'] = torch.full_like(bias, 1 - NORM_EPS)

    return complete


def misfits(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    """Return what keeps ``weights`` from filling ``expected``, a line each; an empty list means that they fit.

    >>> misfits({'stem.weight': torch.ones(8, 3)}, {'stem.weight': torch.ones(16, 3)})
    ['stem.weight is (8, 3) in the checkpoint and (16, 3) in the model']
    """
    other_shapes, missing = [], []
    for key, value in expected.items():
        if key not in weights:
            missing.append(key)
        elif weights[key].shape != value.shape:
            here, there = tuple(weights[key].shape), tuple(value.shape)
            other_shapes.append(f'{key} is {here} in the checkpoint and {there} in the model')

    # Norms of outputs start as they are initialised, and counters of batches do not matter.
    missing = [key for key in missing if not OUTPUT_NORM.match(key) and not key.endswith('num_batches_tracked')]
    foreign = [key for key in weights if key not in expected and not OUTPUT_NORM.match(key)]

    return [
        *other_shapes,
        *(f'{key} is missing from the checkpoint' for key in missing),
        *(f'{key} of the checkpoint has no place in the model' for key in foreign),
    ]
