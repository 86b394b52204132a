"""What a model says of an image, as arrays: a label map or instances; and instances in COCO's format of results."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class LabelMap:
    """A segmentation: ``labels`` ``[H, W]``, indices of classes, or 255."""

    labels: NDArray[np.uint8]


@dataclass(frozen=True)
class Instances:
    """Objects: detections, the surest first, or what was annotated.

    Attributes:
        boxes: ``[N, 4]``, left, top, right and bottom in pixels.
        scores: ``[N]``, or None of what was annotated.
        classes: ``[N]``, indices of classes.
        masks: ``[N, H, W]``, or None.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32] | None
    classes: NDArray[np.int64]
    masks: NDArray[np.bool_] | None

    def above(self, threshold: float) -> 'Instances':
        """Return those with a score of at least ``threshold``."""
        kept = self.scores >= threshold
        masks = None if self.masks is None else self.masks[kept]
        return Instances(self.boxes[kept], self.scores[kept], self.classes[kept], masks)


def coco_results(found: Instances, image_id: int) -> list[dict]:
    """Return detections in COCO's format of results; categories are numbered from 1 in the order of the classes."""
    masks = found.masks if found.masks is not None else [None] * len(found.boxes)
    results = []

    for box, score, label, mask in zip(found.boxes.tolist(), found.scores.tolist(), found.classes.tolist(), masks):
        left, top, right, bottom = box
        width, height = right - left, bottom - top
        result = dict(image_id=image_id, category_id=label + 1, bbox=[left, top, width, height], score=score)
        result['area'] = width * height if mask is None else float(mask.sum())
        if mask is not None:
            result['segmentation'] = _run_lengths(mask)
        results.append(result)

    return results


def _run_lengths(mask: NDArray[np.bool_]) -> dict:
    from pycocotools import mask as coding

    coded = coding.encode(np.asfortranarray(mask.astype(np.uint8)))
    return dict(size=coded['size'], counts=coded['counts'].decode())
