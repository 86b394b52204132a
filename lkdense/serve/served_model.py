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

PROBE = 128  # side in pixels of the blank image on which the strides of the maps are measured
# A receptive field is averaged over squares of this side in pixels, because the gradient of a single image is noisy.
CELL = 4
# Its scale is logarithmic and ends at a thousandth of its largest value.
DECADES = 3


@dataclass(frozen=True)
class Prediction:
    """What a model predicts for an image.

    Attributes:
        result: labels or instances.
        probabilities: of each class at each pixel ``[C, H, W]``; None for a detector, which has none.
        seconds: how long the model took.
    """

    result: LabelMap | Instances
    probabilities: NDArray[np.float16] | None
    seconds: float


class ServedModel:
    """A model that the page shows, under a name.

    ``strides`` are those of its backbone's maps, the first map first.

    Args:
        name: the name that the page shows.
        cfg: the config, with the model and its test data.
        checkpoint: weights of the whole model.

    Raises:
        CheckpointError: the file is no checkpoint, or does not fit the model.
    """

    def __init__(self, name: str, cfg: Config, checkpoint: str):
        self.name = name
        self.predictor = Predictor(cfg, checkpoint)
        self.model = self.predictor.model

        device = next(self.model.parameters()).device
        with torch.no_grad():
            maps = self.model.backbone(torch.zeros(1, 3, PROBE, PROBE, device=device))
        self.strides = [round(PROBE / feature_map.shape[-1]) for feature_map in maps]

    def predict(self, image: NDArray[np.uint8]) -> Prediction:
        """Return what the model predicts for an image ``[H, W, 3]`` in BGR."""
        start = time.perf_counter()
        sample = self.predictor.test(image)
        result = self.predictor.read(sample)
        probabilities = _to_probabilities(sample.seg_logits.data) if 'seg_logits' in sample else None
        return Prediction(result, probabilities, time.perf_counter() - start)

    def compute_receptive_field(
        self, image: NDArray[np.uint8], place: tuple[float, float], stage: int
    ) -> tuple[NDArray[np.float32], tuple[int, int]]:
        """Return how much each square of ``CELL`` pixels moves one place of a map, from 0 to 1 over ``DECADES``.

        Args:
            image: ``[H, W, 3]`` in BGR.
            place: shares of height and width of the image, each in [0, 1).
            stage: index into ``strides``.

        Returns:
            A value for each cell, where 1 is the largest contribution and 0 a thousandth of it or less, and the size
            ``(h, w)`` in which the model sees the image. The last cells to the right and below may reach beyond it.
        """
        batch = self.predictor.batch(image)
        height, width = batch['inputs'][0].shape[-2:]
        inputs = self.model.data_preprocessor(batch, False)['inputs']

        # The preprocessor pads to the right and below, so shares of the image become smaller shares of the input.
        position = place[0] * height / inputs.shape[-2], place[1] * width / inputs.shape[-1]
        field = compute_erf(self.model.backbone, [inputs], output=stage, position=position)
        cells = avg_pool2d(torch.from_numpy(field[None, :height, :width]), CELL, ceil_mode=True)[0].numpy()
        if not cells.max() > 0:
            return np.zeros_like(cells), (height, width)

        floor = 10.0**-DECADES
        shares = np.maximum(cells / cells.max(), floor)
        return 1 + np.log10(shares) / DECADES, (height, width)


def _to_probabilities(logits: Tensor) -> NDArray[np.float16]:
    # A model of two classes may have one channel, with the logit of the second class.
    if len(logits) == 1:
        second = logits.sigmoid()
        return torch.cat([1 - second, second]).half().cpu().numpy()

    return logits.softmax(0).half().cpu().numpy()
