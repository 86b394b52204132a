"""Shape against texture: which cue a model follows where an object's outline says one class and its texture another.

As in "ImageNet-trained CNNs are biased towards texture; increasing shape bias improves accuracy and robustness", ICLR
2019, https://arxiv.org/abs/1811.12231, but for dense prediction. The images are those of :mod:`lkdense.data.synthetic.cue_conflict`.
"""

import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

# of a detection with the object, for it to be a decision on that
MIN_IOU = 0.5
# standard deviations on each side of the middle that hold 95 % of a normal distribution
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
    """What a model said of an object, None for nothing, and which of its cues that follows."""

    said: str | None
    follows: str


class ShapeBias(NamedTuple):
    """Decisions that follow the shape, the texture and neither of them."""

    shape: int
    texture: int
    neither: int

    @property
    def fraction(self) -> float:
        """Of the decisions that follow shape or texture, the share that follows the shape; nan where none does."""
        return self.shape / (self.shape + self.texture) if self.shape + self.texture else float('nan')

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
            surest first), or the index of a class; as :class:`lkdense.inference.predictor.Predictor`.
        classes: the model's names of its classes.
        images: see :mod:`lkdense.data.synthetic.cue_conflict`.
    """
    decisions = []
    for cue in images:
        said = decide(predict(np.ascontiguousarray(cue.image[..., ::-1])), cue)
        decisions.append(_judge(None if said is None else classes[said], cue))
    return decisions


def decide(found, cue: Cue) -> int | None:
    """Return the class that most pixels of the object have, or that of the surest box with an IoU of at least 0.5."""
    if hasattr(found, 'labels'):
        return int(np.bincount(found.labels[cue.mask]).argmax())
    if hasattr(found, 'boxes'):
        matching = np.flatnonzero(_overlaps(found.boxes, np.array(cue.box)) >= MIN_IOU)
        return int(found.classes[matching[0]]) if len(matching) else None
    return found


def summarise(decisions: Iterable[Decision]) -> ShapeBias:
    """Count the decisions on images whose cues disagree."""
    counts = Counter(decision.follows for decision in decisions)
    return ShapeBias(counts[SHAPE], counts[TEXTURE], counts[NEITHER])


def guessed_fraction(images: Iterable[Cue]) -> float:
    """Return the fraction that follows the shape when any class is as likely: several classes may share a texture."""
    shapes, textures = zip(*((len(cue.shape), len(cue.texture)) for cue in images))
    return sum(shapes) / (sum(shapes) + sum(textures))


def wilson(successes: int, trials: int, deviations: float = NORMAL_95) -> tuple[float, float]:
    """Return Wilson's score interval for a share, which is [0, 1] without trials; by default that of 95 %.

    Raises:
        ValueError: more successes than trials, or fewer than none.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f'successes must be in [0, {trials}], got {successes}')
    if not trials:
        return 0.0, 1.0
    share, square = successes / trials, deviations**2
    middle = (share + square / (2 * trials)) / (1 + square / trials)
    half = deviations / (1 + square / trials) * (share * (1 - share) / trials + square / (4 * trials**2)) ** 0.5
    return max(middle - half, 0.0), min(middle + half, 1.0)


def plot_shape_bias(found: Mapping[str, ShapeBias], guessed: float = 0.5) -> Figure:
    """Draw the fraction that follows the shape with its interval, a model a line; dotted what guessing gives."""
    # above the lines: beside the panel, long names would leave it no room
    texts = [
        f'{textwrap.fill(name, 85)}\n{bias.shape} shape, {bias.texture} texture, {bias.neither} neither'
        for name, bias in found.items()
    ]
    height = 0.3 + 0.15 * (1 + max(text.count('\n') for text in texts))
    figure, axis = plt.subplots(figsize=(7, 1 + height * len(found)), layout='constrained')

    for line, (text, bias) in enumerate(zip(texts, found.values())):
        axis.plot(bias.interval, (line, line), color='tab:blue', linewidth=2)
        axis.plot(bias.fraction, line, 'o', color='tab:blue')
        axis.annotate(text, (0, line), xytext=(0, 6), textcoords='offset points', fontsize=9)

    axis.axvline(guessed, color='grey', linestyle=':', zorder=0, label='what guessing gives')
    figure.legend(loc='outside upper right', frameon=False, fontsize=9)
    axis.set(xlim=(-0.03, 1.03), ylim=(len(found) - 0.6, -1), yticks=[])
    axis.set_xlabel('fraction that follows the shape, with its 95 % interval (0: all by texture, 1: all by shape)')

    return figure


def plot_cues(images: Sequence[Cue], said: Sequence[Decision], columns: int = 4) -> Figure:
    """Draw images with what their cues say, and what a model said."""
    rows = -(-len(images) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(2.6 * columns, 3.2 * rows), squeeze=False, layout='constrained')
    for axis in axes.flat:
        axis.axis('off')
    for axis, cue, decision in zip(axes.flat, images, said):
        axis.imshow(cue.image)
        lines = f'shape: {"/".join(cue.shape)}', f'texture: {"/".join(cue.texture)}', f'said: {decision.said}'
        axis.set_title('\n'.join(textwrap.fill(line, 36) for line in lines), fontsize=9)
    return figure


def _judge(said: str | None, cue: Cue) -> Decision:
    by_shape, by_texture = said in cue.shape, said in cue.texture
    return Decision(said, {(1, 0): SHAPE, (0, 1): TEXTURE, (1, 1): BOTH, (0, 0): NEITHER}[by_shape, by_texture])


def _overlaps(boxes: NDArray, box: NDArray) -> NDArray:
    """IoU of each of ``boxes`` ``[N, 4]`` with ``box``."""
    shared = (np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])).clip(0).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (box[2:] - box[:2]).prod()
    return shared / (areas - shared)
