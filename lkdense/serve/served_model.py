"""What the page asks of one model: its prediction for an image, the scores at a point, the receptive field there."""

import time
from dataclasses import dataclass

import numpy as np
import torch
from mmengine.config import Config
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ..analysis import compute_erf
from ..inference.predictor import Predictor
from ..inference.results import Instances, LabelMap

# side in pixels of the blank image that tells the strides of the maps
PROBE = 128
# a receptive field is a mean over squares of so many pixels, as single images have noisy gradients, ...
CELL = 4
# ... on a logarithmic scale that ends at a thousandth of its largest value
DECADES = 3


@dataclass(frozen=True)
class Answer:
    """What a model says of an image.

    Attributes:
        found: labels or instances.
        probabilities: of each class at each pixel ``[C, H, W]``; None where the model does not tell.
        seconds: how long it took.
    """

    found: LabelMap | Instances
    probabilities: NDArray[np.float16] | None
    seconds: float


class Subject:
    """A model under a name.

    ``strides`` are those of its backbone's maps, the first map first.

    Args:
        name: shown on the page.
        cfg: of the model and its test data.
        checkpoint: of the whole model.

    Raises:
        CheckpointError: the checkpoint is none, or does not fit.
    """

    def __init__(self, name: str, cfg: Config, checkpoint: str):
        self.name = name
        self.predictor = Predictor(cfg, checkpoint)
        self.model = self.predictor.model
        device = next(self.model.parameters()).device
        with torch.no_grad():
            maps = self.model.backbone(torch.zeros(1, 3, PROBE, PROBE, device=device))
        self.strides = [round(PROBE / single.shape[-1]) for single in maps]

    def predict(self, image: NDArray[np.uint8]) -> Answer:
        """Return what the model says of an image ``[H, W, 3]`` in BGR."""
        start = time.perf_counter()
        sample = self.predictor.test(image)
        found = self.predictor.read(sample)
        probabilities = _probabilities(sample.seg_logits.data) if 'seg_logits' in sample else None
        return Answer(found, probabilities, time.perf_counter() - start)

    def receptive_field(
        self, image: NDArray[np.uint8], place: tuple[float, float], stage: int
    ) -> tuple[NDArray[np.float32], tuple[int, int]]:
        """Return how much each square of ``CELL`` pixels moves one place of a map, from 0 to 1 over ``DECADES``.

        Args:
            image: ``[H, W, 3]`` in BGR.
            place: shares of height and width of the image, each in [0, 1).
            stage: index into ``strides``.

        Returns:
            a value for each cell, the right and lower ones cut off, and the size ``(h, w)`` in which the model sees
            the image; 1 is the largest contribution, 0 a thousandth of it or less.
        """
        batch = self.predictor.batch(image)
        height, width = batch['inputs'][0].shape[-2:]
        inputs = self.model.data_preprocessor(batch, False)['inputs']
        # padded to the right and below
        position = place[0] * height / inputs.shape[-2], place[1] * width / inputs.shape[-1]
        field = compute_erf(self.model.backbone, [inputs], output=stage, position=position)
        cells = avg_pool2d(torch.from_numpy(field[None, :height, :width]), CELL, ceil_mode=True)[0].numpy()

        if not cells.max() > 0:
            return np.zeros_like(cells), (height, width)

        floor = 10.0**-DECADES
        return 1 + np.log10(np.maximum(cells / cells.max(), floor)) / DECADES, (height, width)


def _probabilities(logits: Tensor) -> NDArray[np.float16]:
    # one channel for two classes: that of the second
    if len(logits) == 1:
        second = logits.sigmoid()
        return torch.cat([1 - second, second]).half().cpu().numpy()
    return logits.softmax(0).half().cpu().numpy()
