"""What the server keeps while it runs: the latest images and answers; and the queue for the models."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .images import decode
from .served_model import Answer, Subject

IMAGES = 8  # that are kept


class Unknown(LookupError):
    """What is not there, in one sentence for the user."""


class Recent:
    """Values under keys, of which the ``count`` used last are kept."""

    def __init__(self, count: int):
        self.count = count
        self.values = OrderedDict()
        self.lock = threading.Lock()

    def get(self, key: Any) -> Any:
        """Return a value, or None where it is no longer kept."""
        with self.lock:
            if key in self.values:
                self.values.move_to_end(key)
            return self.values.get(key)

    def put(self, key: Any, value: Any) -> None:
        """Keep a value, and forget those used least lately."""
        with self.lock:
            self.values[key] = value
            self.values.move_to_end(key)
            while len(self.values) > self.count:
                self.values.popitem(last=False)


class Session:
    """Models, and the images that they are asked about; from any number of threads, but one call of a model at a time.

    Args:
        subjects: the models.
        side: pixels to which larger images are reduced.
    """

    def __init__(self, subjects: Sequence[Subject], side: int):
        self.subjects, self.side = subjects, side
        self.images = Recent(IMAGES)
        # they hold the scores of every pixel: only the latest of each model
        self.answers = Recent(len(subjects))
        self.calls = threading.Lock()

    def add(self, content: bytes) -> tuple[str, Image.Image]:
        """Keep the image in a file's ``content``; return the key under which, and the image.

        Raises:
            ImageError: it is not taken.
        """
        image = decode(content, self.side)
        key = sha256(content).hexdigest()[:32]
        self.images.put(key, image)
        return key, image

    def image(self, key: str) -> Image.Image:
        """Return an image.

        Raises:
            Unknown: it was never there, or has been forgotten.
        """
        image = self.images.get(key)
        if image is None:
            raise Unknown('the server no longer has this image: choose it again')
        return image

    def subject(self, number: int) -> Subject:
        """Return a model.

        Raises:
            Unknown: there are not so many.
        """
        if number >= len(self.subjects):
            raise Unknown(f'there are {len(self.subjects)} models, and no number {number}')
        return self.subjects[number]

    def answer(self, key: str, number: int) -> Answer:
        """Return what a model says of an image, computed where it is not kept.

        Raises:
            Unknown: no such image or model.
        """
        image, subject = self._pixels(key), self.subject(number)
        with self.calls:
            answer = self.answers.get((key, number))
            if answer is None:
                answer = subject.predict(image)
                self.answers.put((key, number), answer)
            return answer

    def receptive_field(
        self, key: str, number: int, place: tuple[float, float], stage: int
    ) -> tuple[NDArray[np.float32], tuple[int, int]]:
        """Return what :meth:`Subject.receptive_field` does.

        Raises:
            Unknown: no such image or model.
        """
        image, subject = self._pixels(key), self.subject(number)
        with self.calls:
            return subject.receptive_field(image, place, stage)

    def _pixels(self, key: str) -> NDArray[np.uint8]:
        return np.ascontiguousarray(np.asarray(self.image(key))[..., ::-1])
