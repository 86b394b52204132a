"""What the server keeps while it runs, the latest images and predictions, and the lock that queues calls of models."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .images import decode_image
from .served_model import Prediction, ServedModel

KEPT_IMAGES = 8


class NotFoundError(LookupError):
    """What was asked for is not there, in one sentence for the user."""


class LRUCache:
    """Values under keys. Only the ``size`` values that were used last are kept."""

    def __init__(self, size: int):
        self.size = size
        self.values = OrderedDict()
        self.lock = threading.Lock()

    def get(self, key: Any) -> Any:
        """Return a value, or None where it is no longer kept."""
        with self.lock:
            if key in self.values:
                self.values.move_to_end(key)
            return self.values.get(key)

    def put(self, key: Any, value: Any) -> None:
        """Keep a value, and forget the least recently used ones."""
        with self.lock:
            self.values[key] = value
            self.values.move_to_end(key)
            while len(self.values) > self.size:
                self.values.popitem(last=False)


class Session:
    """Models, and the images that they are asked about. Any number of threads may use it; models run one at a time.

    Args:
        models: the models.
        side: pixels to which larger images are reduced.
    """

    def __init__(self, models: Sequence[ServedModel], side: int):
        self.models, self.side = models, side
        self.images = LRUCache(KEPT_IMAGES)
        # A prediction holds the scores of every pixel, so only the latest of each model is kept.
        self.predictions = LRUCache(len(models))
        self.model_lock = threading.Lock()

    def add_image(self, content: bytes) -> tuple[str, Image.Image]:
        """Keep the image in a file's ``content``; return the key of the image, and the image.

        Raises:
            ImageError: it is not taken.
        """
        image = decode_image(content, self.side)
        key = sha256(content).hexdigest()[:32]
        self.images.put(key, image)
        return key, image

    def get_image(self, key: str) -> Image.Image:
        """Return an image.

        Raises:
            NotFoundError: it was never there, or has been forgotten.
        """
        image = self.images.get(key)
        if image is None:
            raise NotFoundError('the server no longer has this image: choose it again')
        return image

    def get_model(self, number: int) -> ServedModel:
        """Return a model.

        Raises:
            NotFoundError: there are not so many.
        """
        if number >= len(self.models):
            raise NotFoundError(f'there are {len(self.models)} models, and no number {number}')
        return self.models[number]

    def predict(self, key: str, number: int) -> Prediction:
        """Return what a model predicts for an image. A prediction that is kept is not computed again.

        Raises:
            NotFoundError: no such image or model.
        """
        pixels, model = self._pixels_of(key), self.get_model(number)
        with self.model_lock:
            prediction = self.predictions.get((key, number))
            if prediction is None:
                prediction = model.predict(pixels)
                self.predictions.put((key, number), prediction)

            return prediction

    def compute_receptive_field(
        self, key: str, number: int, place: tuple[float, float], stage: int
    ) -> tuple[NDArray[np.float32], tuple[int, int]]:
        """Return what :meth:`ServedModel.compute_receptive_field` does.

        Raises:
            NotFoundError: no such image or model.
        """
        pixels, model = self._pixels_of(key), self.get_model(number)
        with self.model_lock:
            return model.compute_receptive_field(pixels, place, stage)

    def _pixels_of(self, key: str) -> NDArray[np.uint8]:
        """Return an image ``[H, W, 3]`` in BGR, as models take it."""
        return np.ascontiguousarray(np.asarray(self.get_image(key))[..., ::-1])
