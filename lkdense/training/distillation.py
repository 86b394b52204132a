"""Distillation: a student learns its task and what a frozen teacher says of the same images.

"Distilling the Knowledge in a Neural Network", https://arxiv.org/abs/1503.02531
"From Knowledge Distillation to Self-Knowledge Distillation" (NKD), ICCV 2023, https://arxiv.org/abs/2303.13005; from
large-kernel teachers in "Are Large Kernels Better Teachers than Transformers for ConvNets?", ICML 2023,
https://arxiv.org/abs/2305.19412
"Paying More Attention to Attention" (attention maps of stages), ICLR 2017, https://arxiv.org/abs/1612.03928
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn

from ..config import read_config
from ..models import load_model

KINDS = ('soft', 'nkd')
# where classifiers of ours and segmentors of mmsegmentation make their scores
SCORES = ('head', 'decode_head.conv_seg')


def soft_loss(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """Return the mean divergence of the student's classes from the teacher's, times the temperature's square.

    Args:
        student: scores before softmax, ``[N, K, ...]``.
        teacher: the same of the teacher.
        temperature: by which both are divided.
    """
    theirs = F.log_softmax(teacher / temperature, 1)
    mine = F.log_softmax(student / temperature, 1)
    return (theirs.exp() * (theirs - mine)).sum(1).mean() * temperature**2


def nkd_loss(student: Tensor, teacher: Tensor, target: Tensor, gamma: float = 1.5, temperature: float = 1.0) -> Tensor:
    """Return NKD's loss: on the target class, and on the others after each side is normalized without the target.

    Args:
        student: scores before softmax, ``[N, K]``.
        teacher: the same of the teacher.
        target: the class of each image, ``[N]``.
        gamma: weight of the second part.
        temperature: of the second part.
    """
    target = target[:, None]
    on_target = -(teacher.softmax(1).gather(1, target) * student.log_softmax(1).gather(1, target)).mean()
    others = torch.ones_like(student, dtype=torch.bool).scatter(1, target, False)
    mine, theirs = (scores[others].view(len(scores), -1) / temperature for scores in (student, teacher))
    on_others = -(theirs.softmax(1) * mine.log_softmax(1)).sum(1).mean()
    return on_target + gamma * temperature**2 * on_others


def attention_loss(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    """Return how far apart two models look, stage by stage: mean squares over channels, each map normalized.

    Args:
        student: maps ``[N, C, H, W]`` of stages, of any width.
        teacher: maps of the teacher's, which are resized where their sizes differ.
    """
    total = 0
    for mine, theirs in zip(student, teacher, strict=True):
        mine, theirs = (x.square().mean(1, keepdim=True) for x in (mine, theirs))
        if theirs.shape != mine.shape:
            theirs = F.interpolate(theirs, mine.shape[2:], mode='bilinear')
        mine, theirs = (F.normalize(x.flatten(1)) for x in (mine, theirs))
        total = total + (mine - theirs).square().sum(1).mean()
    return total


class Teacher:
    """A frozen model beside a student: no part of its state, and the same one for every copy of it."""

    def __init__(self, config: str, checkpoint: str | None):
        self.model = load_model(read_config(config), checkpoint).requires_grad_(False)

    def __deepcopy__(self, memo: dict) -> 'Teacher':
        return self

    @torch.no_grad()
    def look(self, images: Tensor) -> 'Seen':
        """Run the teacher on what the student's backbone got."""
        with Seen(self.model.to(images.device)) as seen:
            self.model(images, mode='tensor')
        return seen


class Seen:
    """What passes through a model while it is entered: ``images``, ``maps`` of the backbone, ``scores``."""

    def __init__(self, model: nn.Module):
        names = dict(model.named_modules())
        self.backbone = model.backbone
        self.scorer = next((names[name] for name in SCORES if name in names), None)
        if self.scorer is None:
            raise ValueError(f'no scores to distil in a {type(model).__name__}: none of {", ".join(SCORES)}')

    def __enter__(self) -> 'Seen':
        self.hooks = [
            self.backbone.register_forward_hook(self._keep_maps),
            self.scorer.register_forward_hook(self._keep_scores),
        ]
        return self

    def __exit__(self, *_) -> None:
        for hook in self.hooks:
            hook.remove()

    def _keep_maps(self, module: nn.Module, inputs: tuple, maps: tuple[Tensor, ...]) -> None:
        self.images, self.maps = inputs[0], maps

    def _keep_scores(self, module: nn.Module, inputs: tuple, scores: Tensor) -> None:
        self.scores = scores


class Distilling:
    """Mixed into the class of a student: adds losses in training, and nothing to its weights."""

    def forward(self, inputs, *args, mode: str = 'tensor', **kwargs):
        """Return what the student returns; for ``loss``, with ``loss_distil_scores`` and ``loss_distil_maps``."""
        if mode != 'loss':
            return super().forward(inputs, *args, mode=mode, **kwargs)

        with Seen(self) as mine:
            losses = super().forward(inputs, *args, mode=mode, **kwargs)

        theirs = self.teacher.look(mine.images)
        if self.score_weight:
            losses['loss_distil_scores'] = self.score_weight * self._score_loss(mine.scores, theirs.scores)
        if self.map_weight:
            losses['loss_distil_maps'] = self.map_weight * attention_loss(mine.maps, theirs.maps)

        return losses

    def targets(self, inputs: Tensor, label: list[int] | Tensor) -> tuple[Tensor, Tensor]:
        """As :class:`ImageClassifier`; of a mixture, NKD takes the class with the larger share."""
        inputs, targets = super().targets(inputs, label)
        self._target = targets.argmax(1)
        return inputs, targets

    def _score_loss(self, mine: Tensor, theirs: Tensor) -> Tensor:
        if theirs.shape[1] != mine.shape[1]:
            raise ValueError(f'the teacher scores {theirs.shape[1]} classes and the student {mine.shape[1]}')
        if theirs.shape != mine.shape:
            theirs = F.interpolate(theirs, mine.shape[2:], mode='bilinear')
        if self.kind == 'nkd':
            return nkd_loss(mine, theirs, self._target, temperature=self.temperature)
        return soft_loss(mine, theirs, self.temperature)


@MODELS.register_module('Distilled')
def distilled(
    student: dict,
    teacher: dict,
    kind: str = 'soft',
    score_weight: float = 1.0,
    map_weight: float = 0.0,
    temperature: float = 1.0,
    **kwargs,
) -> nn.Module:
    """Build a student that a teacher helps to train: a model like any other, whose checkpoint holds the student alone.

    Args:
        student: config of an :class:`ImageClassifier` or of a segmentor of mmsegmentation.
        teacher: ``config``, a path or a name of lkdense's, and ``checkpoint``; its images must be normalized alike.
        kind: of the loss on scores: ``soft``, for each image or pixel, or ``nkd``, for classifiers.
        score_weight: its weight.
        map_weight: the weight of the loss on the maps of the backbone's stages.
        temperature: of the loss on scores.
        **kwargs: what MMEngine adds to the config of every model.

    Raises:
        ValueError: another kind, or a model without such scores.
    """
    if kind not in KINDS:
        raise ValueError(f'kind must be one of {", ".join(KINDS)}, got {kind!r}')

    model = MODELS.build({**student, **kwargs})
    if kind == 'nkd' and not hasattr(model, 'targets'):
        raise ValueError(f'nkd is for classifiers, got a {type(model).__name__}; use soft')

    Seen(model)
    model.__class__ = type(f'Distilled{type(model).__name__}', (Distilling, type(model)), {})
    model.teacher = Teacher(teacher['config'], teacher.get('checkpoint'))
    model.kind, model.score_weight, model.map_weight, model.temperature = kind, score_weight, map_weight, temperature

    return model
