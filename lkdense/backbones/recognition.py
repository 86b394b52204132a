"""Which backbone a checkpoint is for, by its entries and their shapes, and its weights under our names."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from ..checkpoints.keys import BACKBONE, CLASSIFIER, OUTPUT_NORM, backbone_weights, misfits, rename, unwrap
from ..errors import first_few
from . import FAMILIES, families

STATISTICS = ('running_mean', 'running_var', 'num_batches_tracked')
# An error spells out this many misfits and only counts the others.
MISFITS_SHOWN = 5


class Recognised(NamedTuple):
    """A checkpoint of a backbone, or of a segmentor or detector around one.

    Attributes:
        family: the class of the backbone.
        arguments: the arguments of its constructor.
        weights: the backbone, the neck and the heads, under our names.
        mapped: the backbone's entries in ``weights``.
        heads: the entries of the neck and the heads, which keep their names.
        ignored: the entries of the classifier, which are left out.
        missing: the backbone's entries that the checkpoint lacks: norms of outputs, counters of batches.
    """

    family: type
    arguments: dict
    weights: dict[str, Tensor]
    mapped: list[str]
    heads: list[str]
    ignored: list[str]
    missing: list[str]

    @property
    def backbone(self) -> str:
        """The line of a config that builds this backbone."""
        arguments = ', '.join(f'{name}={value!r}' for name, value in self.arguments.items())

        return f'backbone=dict(type={self.family.__name__!r}, {arguments})'


class _Candidate(NamedTuple):
    """A family, with the arguments and weights that it reads off a checkpoint."""

    family: type
    arguments: dict
    weights: dict[str, Tensor]
    missing: list[str]
    problems: list[str]


def recognise(checkpoint: Mapping) -> Recognised:
    """Find the family and the arguments that explain every entry of ``checkpoint``, wrapped or not.

    >>> from lkdense import SLaK
    >>> checkpoint = recognise({'state_dict': SLaK(arch='pico').state_dict()})
    >>> checkpoint.family.__name__, checkpoint.arguments['arch'], checkpoint.arguments['kernel_sizes']
    ('SLaK', 'pico', (51, 49, 47, 13))

    Raises:
        ValueError: no family explains it; the message names what the nearest leaves unexplained.
    """
    candidates = []
    for family in families():
        candidate = _as_family(checkpoint, family)
        if candidate is not None:
            candidates.append(candidate)

    fitting = [candidate for candidate in candidates if not candidate.problems]
    if not fitting:
        raise ValueError(_unexplained(candidates))

    # Several families may explain the same layers; the one in which these sizes have a name is meant.
    named = [candidate for candidate in fitting if isinstance(candidate.arguments['arch'], str)]
    best = (named or fitting)[0]

    weights = unwrap(checkpoint)
    heads, ignored, prefix = {}, [], ''
    if any(key.startswith(BACKBONE) for key in weights):
        prefix = BACKBONE
        heads = {key: value for key, value in weights.items() if not key.startswith(BACKBONE)}
    else:
        ignored = [key for key in rename(weights, best.family.KEY_MAP) if CLASSIFIER.match(key)]

    mapped = {f'{prefix}{key}': value for key, value in best.weights.items()}

    return Recognised(
        best.family, best.arguments, {**mapped, **heads}, list(mapped), list(heads), ignored, best.missing
    )


def sparsity(weights: Mapping[str, Tensor]) -> float:
    """Return the share of zeros in all kernels and matrices of ``weights``.

    >>> sparsity({'weight': torch.eye(4), 'bias': torch.zeros(4)})
    0.75
    """
    matrices = [value for value in weights.values() if value.dim() > 1 and value.is_floating_point()]
    zeros = sum(value.numel() - int(value.count_nonzero()) for value in matrices)

    return zeros / max(sum(value.numel() for value in matrices), 1)


def summary(checkpoint: Recognised) -> str:
    """Return what a person wants to know about a recognised checkpoint, in a few lines."""
    new_norms = sorted({key.split('.')[0] for key in checkpoint.missing if OUTPUT_NORM.match(key)})
    counters = [key for key in checkpoint.missing if key.endswith('num_batches_tracked')]
    missing = []
    if new_norms:
        missing.append(f'{", ".join(new_norms)} (new norms of the outputs)')
    if counters:
        missing.append(f'{len(counters)} counters of batches')

    backbone = {key: checkpoint.weights[key] for key in checkpoint.mapped}
    learned = sum(value.numel() for key, value in backbone.items() if not key.endswith(STATISTICS))

    facts = {
        'family': checkpoint.family.__name__,
        'arch': checkpoint.arguments['arch'],
        'kernels': checkpoint.arguments.get('kernel_sizes', "the arch's own"),
        'parameters': f'{learned / 1e6:.2f} M in the backbone',
        'sparsity': f'{sparsity(backbone):.1%} zeros',
        'mapped': f'{len(checkpoint.mapped)} entries of the backbone',
        'kept': f'{len(checkpoint.heads)} entries of neck and heads' if checkpoint.heads else 'no neck or heads',
        'ignored': ', '.join(checkpoint.ignored) or 'nothing',
        'missing': ', '.join(missing) or 'nothing',
    }
    lines = [f'{name + ":":12}{value}' for name, value in facts.items()]

    return '\n'.join([*lines, checkpoint.backbone])


def _as_family(checkpoint: Mapping, family: type) -> _Candidate | None:
    """Read ``checkpoint`` as one of ``family``; None if it has nothing of that family."""
    try:
        arguments = family.arguments_of(backbone_weights(checkpoint, '', family.KEY_MAP))
        with torch.device('meta'):
            model = family(**arguments)
    except (KeyError, ValueError):
        return None

    # A merged model has a KEY_MAP of its own.
    weights, expected = backbone_weights(checkpoint, '', model.KEY_MAP), model.state_dict()
    missing = [key for key in expected if key not in weights]

    return _Candidate(family, arguments, weights, missing, misfits(weights, expected))


def _unexplained(candidates: list[_Candidate]) -> str:
    if not candidates:
        return f"not a checkpoint of {', '.join(FAMILIES)}, neither under its authors' names nor under ours"

    nearest = min(candidates, key=lambda candidate: len(candidate.problems))
    return f'nearest to {nearest.family.__name__}, but {first_few(nearest.problems, MISFITS_SHOWN, "; ")}'
