"""Distillation: a student learns its task, and to agree with a frozen teacher on the same images.

"Distilling the Knowledge in a Neural Network", https://arxiv.org/abs/1503.02531
"From Knowledge Distillation to Self-Knowledge Distillation" (NKD), ICCV 2023, https://arxiv.org/abs/2303.13005
"Are Large Kernels Better Teachers than Transformers for ConvNets?" (NKD with large-kernel teachers), ICML 2023,
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
# The modules that compute the scores, in our classifiers and in the segmentors of mmsegmentation.
SCORES = ('head', 'decode_head.conv_seg')


def soft_loss(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """Return the mean divergence of the student's classes from the teacher's, times the temperature's square.

    >>> scores = torch.tensor([[2.0, 0.0, -1.0]])
    >>> soft_loss(scores, scores)
    tensor(0.)

    Args:
        student: the student's scores before softmax, ``[N, K, ...]``.
        teacher: the teacher's, of the same shape.
        temperature: the divisor of both.
    """
    teacher = F.log_softmax(teacher / temperature, 1)
    student = F.log_softmax(student / temperature, 1)
    divergence = (teacher.exp() * (teacher - student)).sum(1)

    return divergence.mean() * temperature**2


def nkd_loss(student: Tensor, teacher: Tensor, target: Tensor, gamma: float = 1.5, temperature: float = 1.0) -> Tensor:
    """Return NKD's loss: on the target class, and on the other classes, normalized without the target.

    Args:
        student: the student's scores before softmax, ``[N, K]``.
        teacher: the teacher's, of the same shape.
        target: the class of each image, ``[N]``.
        gamma: the weight of the part on the other classes.
        temperature: the divisor of the scores in that part.
    """
    target = target[:, None]
    on_target = -(teacher.softmax(1).gather(1, target) * student.log_softmax(1).gather(1, target)).mean()

    others = torch.ones_like(student, dtype=torch.bool).scatter(1, target, False)
    student = student[others].view(len(student), -1) / temperature
    teacher = teacher[others].view(len(teacher), -1) / temperature
    on_others = -(teacher.softmax(1) * student.log_softmax(1)).sum(1).mean()

    return on_target + gamma * temperature**2 * on_others


def attention_loss(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    """Return how far the attention maps of two models are apart, summed over the stages.

    An attention map is the mean square over the channels, normalized for each image.

    Args:
        student: the student's maps ``[N, C, H, W]``, one for each stage, of any width.
        teacher: the teacher's, which are resized if their sizes differ.
    """
    total = 0
    for student_map, teacher_map in zip(student, teacher, strict=True):
        student_attention = student_map.square().mean(1, keepdim=True)
        teacher_attention = teacher_map.square().mean(1, keepdim=True)
        if teacher_attention.shape != student_attention.shape:
            teacher_attention = F.interpolate(teacher_attention, student_attention.shape[2:], mode='bilinear')

        difference = F.normalize(student_attention.flatten(1)) - F.normalize(teacher_attention.flatten(1))
        total = total + difference.square().sum(1).mean()

    return total


class Teacher:
    """A frozen model beside a student: no part of its state, and shared by all its copies."""

    def __init__(self, config: str, checkpoint: str | None):
        self.model = load_model(read_config(config), checkpoint).requires_grad_(False)

    def __deepcopy__(self, memo: dict) -> 'Teacher':
        return self

    @torch.no_grad()
    def capture(self, images: Tensor) -> 'ForwardCapture':
        """Run the teacher on the images that the student's backbone got."""
        with ForwardCapture(self.model.to(images.device)) as captured:
            self.model(images, mode='tensor')

        return captured


class ForwardCapture:
    """Records a forward pass while it is entered: the backbone's ``images`` and ``maps``, and the ``scores``.

    Raises:
        ValueError: the model has no module that computes scores.
    """

    def __init__(self, model: nn.Module):
        modules = dict(model.named_modules())
        scorers = [modules[name] for name in SCORES if name in modules]
        if not scorers:
            raise ValueError(f'no scores to distil in a {type(model).__name__}: none of {", ".join(SCORES)}')

        self.backbone, self.scorer = model.backbone, scorers[0]

    def __enter__(self) -> 'ForwardCapture':
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


class DistillationMixin:
    """Mixed into a student's class: adds losses in training, and nothing to the weights."""

    def forward(self, inputs, *args, mode: str = 'tensor', **kwargs):
        """Return the student's output; in mode ``loss`` with ``loss_distil_scores`` and ``loss_distil_maps``."""
        if mode != 'loss':
            return super().forward(inputs, *args, mode=mode, **kwargs)

        with ForwardCapture(self) as student:
            losses = super().forward(inputs, *args, mode=mode, **kwargs)

        teacher = self.teacher.capture(student.images)
        if self.score_weight:
            losses['loss_distil_scores'] = self.score_weight * self._score_loss(student.scores, teacher.scores)
        if self.map_weight:
            losses['loss_distil_maps'] = self.map_weight * attention_loss(student.maps, teacher.maps)

        return losses

    def targets(self, inputs: Tensor, label: list[int] | Tensor) -> tuple[Tensor, Tensor]:
        """Mix as :class:`ImageClassifier` does; the target class of NKD is the one with the larger share."""
        inputs, targets = super().targets(inputs, label)
        self._target = targets.argmax(1)

        return inputs, targets

    def _score_loss(self, student: Tensor, teacher: Tensor) -> Tensor:
        if teacher.shape[1] != student.shape[1]:
            raise ValueError(f'the teacher scores {teacher.shape[1]} classes and the student {student.shape[1]}')
        if teacher.shape != student.shape:
            teacher = F.interpolate(teacher, student.shape[2:], mode='bilinear')

        if self.kind == 'nkd':
            return nkd_loss(student, teacher, self._target, temperature=self.temperature)

        return soft_loss(student, teacher, self.temperature)


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
    """Build a student that also learns from a teacher; its checkpoints hold the student alone.

    Args:
        student: the config of an :class:`ImageClassifier` or of a segmentor of mmsegmentation.
        teacher: ``config``, a path or the name of one of lkdense's configs, and ``checkpoint``. The teacher gets the
            student's normalized images, so both must be trained with the same normalization.
        kind: the loss on scores: ``soft``, for each image or pixel, or ``nkd``, for classifiers.
        score_weight: the weight of the loss on scores.
        map_weight: the weight of the loss on the maps of the backbone's stages.
        temperature: the temperature of the loss on scores.
        **kwargs: arguments that MMEngine adds to the config of every model.

    Raises:
        ValueError: the kind is unknown, or the model has no scores for it.
    """
    if kind not in KINDS:
        raise ValueError(f'kind must be one of {", ".join(KINDS)}, got {kind!r}')

    model = MODELS.build({**student, **kwargs})
    if kind == 'nkd' and not hasattr(model, 'targets'):
        raise ValueError(f'nkd is for classifiers, got a {type(model).__name__}; use soft')

    # It raises here rather than in the first iteration if the student has no scores.
    ForwardCapture(model)
    model.__class__ = type(f'Distilled{type(model).__name__}', (DistillationMixin, type(model)), {})
    model.teacher = Teacher(teacher['config'], teacher.get('checkpoint'))
    model.kind, model.score_weight, model.map_weight, model.temperature = kind, score_weight, map_weight, temperature

    return model
