"""A prediction as arrays, a label map or instances, and instances in COCO's results format."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class LabelMap:
    """A segmentation: ``labels`` ``[H, W]`` are indices of classes, or 255 for no class.

    >>> LabelMap(np.array([[0, 0, 2], [0, 2, 255]], np.uint8)).labels.shape
    (2, 3)
    """

    labels: NDArray[np.uint8]


@dataclass(frozen=True)
class Instances:
    """Objects in an image: detections, the most confident first, or annotations.

    Attributes:
        boxes: ``[N, 4]``, left, top, right and bottom in pixels.
        scores: ``[N]``, or None for annotations.
        classes: ``[N]``, indices of classes.
        masks: ``[N, H, W]``, or None.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32] | None
    classes: NDArray[np.int64]
    masks: NDArray[np.bool_] | None

    def above(self, threshold: float) -> 'Instances':
        """Return the detections with a score of at least ``threshold``.

        >>> boxes = np.array([[10, 20, 30, 40], [0, 0, 8, 8]], np.float32)
        >>> instances = Instances(boxes, scores=np.array([0.9, 0.2]), classes=np.array([3, 7]), masks=None)
        >>> instances.above(0.5).classes
        array([3])
        """
        is_above = self.scores >= threshold
        masks = None if self.masks is None else self.masks[is_above]
        return Instances(self.boxes[is_above], self.scores[is_above], self.classes[is_above], masks)


def coco_results(instances: Instances, image_id: int) -> list[dict]:
    """Return detections in COCO's results format; categories are numbered from 1 in the order of the classes.

    >>> boxes = np.array([[10, 20, 30, 45]], np.float32)
    >>> instances = Instances(boxes, scores=np.array([0.5]), classes=np.array([3]), masks=None)
    >>> coco_results(instances, image_id=1)
    [{'image_id': 1, 'category_id': 4, 'bbox': [10.0, 20.0, 20.0, 25.0], 'score': 0.5, 'area': 500.0}]
    """
    boxes, scores, classes = instances.boxes.tolist(), instances.scores.tolist(), instances.classes.tolist()
    masks = [None] * len(boxes) if instances.masks is None else instances.masks

    results = []
    for box, score, label, mask in zip(boxes, scores, classes, masks):
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

    encoded = coding.encode(np.asfortranarray(mask.astype(np.uint8)))
    return dict(size=encoded['size'], counts=encoded['counts'].decode())
