"""Which backbone a checkpoint is for, told by its entries and their shapes, and its weights under our names."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from ..checkpoints.keys import BACKBONE, CLASSIFIER, OUTPUT_NORM, backbone_weights, misfits, rename, unwrap
from . import FAMILIES, families

STATISTICS = ('running_mean', 'running_var', 'num_batches_tracked')
# misfits that an error spells out before it only counts the rest
SHOWN = 5


class Recognised(NamedTuple):
    """A checkpoint of a backbone, or of a segmentor or detector around one."""

    family: type
    arguments: dict  # of the family's constructor
    weights: dict[str, Tensor]  # all that was kept, under our names
    mapped: list[str]  # the entries of the backbone
    heads: list[str]  # the entries of neck and heads, whose names stay
    ignored: list[str]  # the entries of the classifier, which are left out
    missing: list[str]  # the backbone's entries that are not there: norms of outputs, counters of batches

    @property
    def backbone(self) -> str:
        """What builds this backbone from a config."""
        arguments = ', '.join(f'{name}={value!r}' for name, value in self.arguments.items())
        return f'backbone=dict(type={self.family.__name__!r}, {arguments})'


def recognise(checkpoint: Mapping) -> Recognised:
    """Find the family and the arguments that explain every entry of ``checkpoint``, wrapped or not.

    Raises:
        ValueError: no family explains it; the message names what the nearest leaves unexplained.
    """
    weights = unwrap(checkpoint)
    whole = any(key.startswith(BACKBONE) for key in weights)
    fits, nearest = [], None

    for family in families():
        try:
            arguments = family.arguments_of(backbone_weights(checkpoint, '', family.KEY_MAP))
            with torch.device('meta'):
                model = family(**arguments)
        except (KeyError, ValueError):
            continue

        own, expected = backbone_weights(checkpoint, '', model.KEY_MAP), model.state_dict()
        if problems := misfits(own, expected):
            if nearest is None or len(problems) < len(nearest[1]):
                nearest = family, problems
        else:
            fits.append((family, arguments, own, [key for key in expected if key not in own]))

    if not fits:
        raise ValueError(_unexplained(nearest))

    family, arguments, own, missing = next((fit for fit in fits if isinstance(fit[1]['arch'], str)), fits[0])
    heads = {key: value for key, value in weights.items() if whole and not key.startswith(BACKBONE)}
    ours = {f'{BACKBONE if whole else ""}{key}': value for key, value in own.items()}
    ignored = [] if whole else [key for key in rename(weights, family.KEY_MAP) if CLASSIFIER.match(key)]

    return Recognised(family, arguments, {**ours, **heads}, list(ours), list(heads), ignored, missing)


def sparsity(weights: Mapping[str, Tensor]) -> float:
    """Return the share of zeros in all kernels and matrices of ``weights``."""
    matrices = [value for value in weights.values() if value.dim() > 1 and value.is_floating_point()]
    zeros = sum(value.numel() - int(value.count_nonzero()) for value in matrices)
    return zeros / max(sum(value.numel() for value in matrices), 1)


def summary(found: Recognised) -> str:
    """Return what a person wants to know of a recognised checkpoint, in a few lines."""
    norms = sorted({key.split('.')[0] for key in found.missing if OUTPUT_NORM.match(key)})
    notes = [f'{", ".join(norms)} (new norms of the outputs)'] if norms else []
    if counters := [key for key in found.missing if key.endswith('num_batches_tracked')]:
        notes.append(f'{len(counters)} counters of batches')

    kernels = found.arguments.get('kernel_sizes', "the arch's own")
    learned = [key for key in found.mapped if not key.endswith(STATISTICS)]
    lines = {
        'family': found.family.__name__,
        'arch': found.arguments['arch'],
        'kernels': kernels,
        'parameters': f'{sum(found.weights[key].numel() for key in learned) / 1e6:.2f} M in the backbone',
        'sparsity': f'{sparsity({key: found.weights[key] for key in found.mapped}):.1%} zeros',
        'mapped': f'{len(found.mapped)} entries of the backbone',
        'kept': f'{len(found.heads)} entries of neck and heads' if found.heads else 'no neck or heads',
        'ignored': ', '.join(found.ignored) or 'nothing',
        'missing': ', '.join(notes) or 'nothing',
    }

    return '\n'.join([*(f'{name + ":":12}{value}' for name, value in lines.items()), found.backbone])


def _unexplained(nearest: tuple[type, list[str]] | None) -> str:
    known = ', '.join(FAMILIES)
    if nearest is None:
        return f"not a checkpoint of {known}, neither under its authors' names nor under ours"
    family, problems = nearest
    more = f'; and {len(problems) - SHOWN} more' if len(problems) > SHOWN else ''
    return f'nearest to {family.__name__}, but {"; ".join(problems[:SHOWN])}{more}'
