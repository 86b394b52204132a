"""Official checkpoints: take off what the authors wrapped them in, rename their entries, and check that they fit.

A backbone states its ``KEY_MAP``, pairs of a regular expression and its replacement that turn the authors' names
into ours and leave ours alone. Nothing is loaded unless it fits as a whole.
"""

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

KeyMap = Iterable[tuple[str, str]]

# where authors and frameworks keep the weights in a checkpoint, in the order in which the authors' own loaders look
WRAPPERS = ('state_dict', 'model', 'model_ema')
# the classifier and the norm before it, which a backbone for dense prediction does not have
CLASSIFIER = re.compile(r'(head|norm)\.')
# of the batch norms of all families
NORM_EPS = 1e-5
# the norms of the outputs, which classification checkpoints do not have
OUTPUT_NORM = re.compile(r'norm\d\.')


def unwrap(checkpoint: Mapping) -> dict[str, Tensor]:
    """Return the weights of a checkpoint, out of its wrapper and without data-parallel training's ``module.``."""
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
    if not prefix and any(key.startswith('backbone.') for key in weights):
        prefix = 'backbone.'
    own = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
    return with_norms({key: value for key, value in rename(own, key_map).items() if not CLASSIFIER.match(key)})


def with_norms(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Turn the bias of every merged convolution ``....conv`` into a batch norm ``....norm`` that adds it.

    RepLKNet's authors merge the large kernels alone and publish the rest with its norms.
    """
    found = dict(weights)
    for key, bias in weights.items():
        norm = f'{key.removesuffix(".conv.bias")}.norm'
        if key.endswith('.conv.bias') and f'{norm}.weight' not in weights:
            del found[key]
            found[f'{norm}.weight'], found[f'{norm}.bias'] = torch.ones_like(bias), bias
            found[f'{norm}.running_mean'] = torch.zeros_like(bias)
            found[f'{norm}.running_var'] = torch.full_like(bias, 1 - NORM_EPS)
    return found


def misfits(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    """Return what keeps ``weights`` from filling ``expected``, a line each; an empty list means that they fit."""
    found = [
        f'{key} is {tuple(weights[key].shape)} in the checkpoint and {tuple(value.shape)} in the model'
        for key, value in expected.items()
        if key in weights and weights[key].shape != value.shape
    ]
    found += [
        f'{key} is missing from the checkpoint'
        for key in expected
        if key not in weights and not OUTPUT_NORM.match(key) and not key.endswith('num_batches_tracked')
    ]
    return found + [
        f'{key} of the checkpoint has no place in the model'
        for key in weights
        if key not in expected and not OUTPUT_NORM.match(key)
    ]
