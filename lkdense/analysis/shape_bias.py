"""Shape against texture: which cue a model follows where an object's outline says one class and its texture another.

The measure is that of "ImageNet-trained CNNs are biased towards texture; increasing shape bias improves accuracy and
robustness", ICLR 2019, https://arxiv.org/abs/1811.12231, but for dense prediction. The images are those of
:mod:`lkdense.data.synthetic.cue_conflict`.
"""

import math
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

# A detection is a decision on an object if their boxes overlap at least so much.
MIN_IOU = 0.5
# Standard deviations on each side of the mean that hold 95 % of a normal distribution
NORMAL_95 = 1.959964
SHAPE, TEXTURE, BOTH, NEITHER = 'shape', 'texture', 'both', 'neither'


class Cue(Protocol):
    """An image of one object: :class:`lkdense.data.synthetic.cue_conflict.CueImage`."""

    image: NDArray
    mask: NDArray
    shape: tuple[str, ...]
    texture: tuple[str, ...]
    box: tuple[int, int, int, int]


class Decision(NamedTuple):
    """The class that a model predicts for an object, None if it predicts nothing, and the cue that this follows."""

    predicted: str | None
    follows: str


class ShapeBias(NamedTuple):
    """Numbers of decisions that follow the shape, the texture and neither of them."""

    shape: int
    texture: int
    neither: int

    @property
    def fraction(self) -> float:
        """Share of the shape among the decisions that follow shape or texture; nan if there are none."""
        decided = self.shape + self.texture
        return self.shape / decided if decided else float('nan')

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of :attr:`fraction`, for independent images."""
        return wilson(self.shape, self.shape + self.texture)


def compute_shape_bias(
    predict: Callable[[NDArray], object], classes: Sequence[str], images: Iterable[Cue]
) -> list[Decision]:
    """Return what a model decides on each image.

    Args:
        predict: an image ``[H, W, 3]`` in BGR to a label map (``labels``), detections (``boxes`` and ``classes``, the
            most confident first), or the index of a class; as :class:`lkdense.inference.predictor.Predictor`.
        classes: the names of the model's classes.
        images: see :mod:`lkdense.data.synthetic.cue_conflict`.
    """
    decisions = []
    for cue in images:
        prediction = predict(np.ascontiguousarray(cue.image[..., ::-1]))
        index = decide(prediction, cue)
        decisions.append(_judge(None if index is None else classes[index], cue))

    return decisions


def decide(prediction: object, cue: Cue) -> int | None:
    """Return the class that a model gives to the object.

    In a label map it is the class of most of the object's pixels. Among detections it is that of the most confident box
    with an IoU of at least 0.5, None if there is no such box.
    """
    if hasattr(prediction, 'labels'):
        return int(np.bincount(prediction.labels[cue.mask]).argmax())

    if hasattr(prediction, 'boxes'):
        matching = np.flatnonzero(_overlaps(prediction.boxes, np.array(cue.box)) >= MIN_IOU)
        return int(prediction.classes[matching[0]]) if len(matching) else None

    return prediction


def summarise(decisions: Iterable[Decision]) -> ShapeBias:
    """Count the decisions on images whose cues disagree.

    >>> summarise([Decision('cat', 'shape'), Decision('dog', 'texture'), Decision('cat', 'shape')])
    ShapeBias(shape=2, texture=1, neither=0)
    """
    counts = Counter(decision.follows for decision in decisions)
    return ShapeBias(counts[SHAPE], counts[TEXTURE], counts[NEITHER])


def guessed_fraction(images: Iterable[Cue]) -> float:
    """Return the fraction that follows the shape if every class is equally likely: several may share a texture."""
    shapes, textures = 0, 0
    for cue in images:
        shapes += len(cue.shape)
        textures += len(cue.texture)

    return shapes / (shapes + textures)


def wilson(successes: int, trials: int, deviations: float = NORMAL_95) -> tuple[float, float]:
    """Return Wilson's score interval for a share, by default that of 95 %; without trials it is [0, 1].

    >>> [round(end, 3) for end in wilson(5, 10)]
    [0.237, 0.763]

    Raises:
        ValueError: there are more successes than trials, or fewer than none.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f'successes must be in [0, {trials}], got {successes}')
    if not trials:
        return 0.0, 1.0

    share, square = successes / trials, deviations**2
    middle = (share + square / (2 * trials)) / (1 + square / trials)
    half = deviations / (1 + square / trials) * (share * (1 - share) / trials + square / (4 * trials**2)) ** 0.5
    return max(middle - half, 0.0), min(middle + half, 1.0)


def plot_shape_bias(biases: Mapping[str, ShapeBias], guessed: float = 0.5) -> Figure:
    """Draw the fraction that follows the shape with its interval, one line for each model, and that of guessing.

    Args:
        biases: one for each name of a model.
        guessed: the fraction that guessing gives.
    """
    # The texts stand above their lines, because long names beside the panel would leave it no room.
    texts = []
    for name, bias in biases.items():
        counts = f'{bias.shape} shape, {bias.texture} texture, {bias.neither} neither'
        texts.append(f'{textwrap.fill(name, 85)}\n{counts}')
    height = 0.3 + 0.15 * (1 + max(text.count('\n') for text in texts))

    figure, axes = plt.subplots(figsize=(7, 1 + height * len(biases)), layout='constrained')
    for line, (text, bias) in enumerate(zip(texts, biases.values())):
        axes.plot(bias.interval, (line, line), color='tab:blue', linewidth=2)
        axes.plot(bias.fraction, line, 'o', color='tab:blue')
        axes.annotate(text, (0, line), xytext=(0, 6), textcoords='offset points', fontsize=9)

    axes.axvline(guessed, color='grey', linestyle=':', zorder=0, label='what guessing gives')
    figure.legend(loc='outside upper right', frameon=False, fontsize=9)
    axes.set(xlim=(-0.03, 1.03), ylim=(len(biases) - 0.6, -1), yticks=[])
    axes.set_xlabel('fraction that follows the shape, with its 95 % interval (0: all by texture, 1: all by shape)')

    return figure


def plot_cues(images: Sequence[Cue], decisions: Sequence[Decision], columns: int = 4) -> Figure:
    """Draw images with the classes of their cues and the class that a model predicts."""
    rows = math.ceil(len(images) / columns)
    figure, grid = plt.subplots(rows, columns, figsize=(2.6 * columns, 3.2 * rows), squeeze=False, layout='constrained')
    for axes in grid.flat:
        axes.axis('off')

    for axes, cue, decision in zip(grid.flat, images, decisions):
        axes.imshow(cue.image)
        lines = [
            f'shape: {"/".join(cue.shape)}',
            f'texture: {"/".join(cue.texture)}',
            f'predicted: {decision.predicted}',
        ]
        axes.set_title('\n'.join(textwrap.fill(line, 36) for line in lines), fontsize=9)

    return figure


def _judge(predicted: str | None, cue: Cue) -> Decision:
    """Return the decision for a predicted class, with the cue that it follows."""
    follows_shape, follows_texture = predicted in cue.shape, predicted in cue.texture
    if follows_shape and follows_texture:
        follows = BOTH
    elif follows_shape:
        follows = SHAPE
    else:
        follows = TEXTURE if follows_texture else NEITHER

    return Decision(predicted, follows)


def _overlaps(boxes: NDArray, box: NDArray) -> NDArray:
    """Return the IoU of each of ``boxes`` ``[N, 4]`` with ``box``."""
    shared = (np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])).clip(0).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (box[2:] - box[:2]).prod()
    return shared / (areas - shared)
