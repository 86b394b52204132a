"""The server behind the page: JSON and images over HTTP."""

import socket
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from flask import Flask, Response, abort, jsonify, request
from numpy.typing import NDArray
from werkzeug.exceptions import HTTPException
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from ..errors import UserError
from ..inference.results import Instances, LabelMap
from .images import MAX_BYTES, ImageError, decode, jpeg
from .served_model import CELL, DECADES, Subject
from .session import Session, Unknown

THUMBNAIL = 160  # pixels
CLASSES = 8  # of the most probable ones at a point
HEADERS = {
    'Content-Security-Policy': (
        "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Cache-Control': 'no-store',
}


def create_app(
    subjects: Sequence[Subject], examples: Sequence[Path] = (), side: int = 1024, hosts: Sequence[str] | None = None
) -> Flask:
    """Return the application.

    Args:
        subjects: the models.
        examples: images that the page offers.
        side: pixels to which larger images are reduced.
        hosts: names under which the page may be asked for, so that no other site can pose as it; None for any.
    """
    app = Flask(__name__)
    app.config.update(MAX_CONTENT_LENGTH=MAX_BYTES, TRUSTED_HOSTS=hosts and list(hosts))
    session = Session(subjects, side)
    _add_page(app, session, examples)
    _add_images(app, session)
    _add_questions(app, session)
    _add_errors(app)

    @app.after_request
    def add_headers(response: Response):
        response.headers.update(HEADERS)
        return response

    return app


def open_server(app: Flask, host: str, port: int) -> BaseWSGIServer:
    """Return a server that listens but does not answer yet; port 0 takes one that is free.

    Raises:
        UserError: it cannot listen there.
    """
    try:
        # werkzeug would end the process itself
        listener = socket.create_server((host, port))
    except (OSError, OverflowError) as error:
        raise UserError(f'cannot listen at {host}:{port}: {error}; --port takes another') from None
    with listener:
        return make_server(host, port, app, threaded=True, request_handler=_Quiet, fd=listener.fileno())


def _add_page(app: Flask, session: Session, examples: Sequence[Path]) -> None:
    @app.get('/')
    def index():
        return app.send_static_file('index.html')

    @app.get('/models')
    def models():
        return jsonify(
            models=[describe(subject) for subject in session.subjects],
            examples=[path.name for path in examples],
            decades=DECADES,
            max_bytes=MAX_BYTES,
        )

    # by number, so that no path comes from outside
    @app.get('/examples/<int:number>')
    def example(number: int):
        if number >= len(examples):
            raise Unknown(f'there are {len(examples)} examples, and no number {number}')
        size = THUMBNAIL if 'thumbnail' in request.args else session.side
        return Response(jpeg(decode(examples[number].read_bytes(), size)), mimetype='image/jpeg')


def _add_images(app: Flask, session: Session) -> None:
    @app.post('/images')
    def upload():
        if request.headers.get('Sec-Fetch-Site', 'same-origin') not in ('same-origin', 'none'):
            abort(403, 'another site may not send images')
        # the body as it is: a form would be spooled to disk
        key, image = session.add(request.get_data(cache=False))
        return jsonify(key=key, width=image.width, height=image.height)

    @app.get('/images/<key>')
    def show(key: str):
        return Response(jpeg(session.image(key)), mimetype='image/jpeg')


def _add_questions(app: Flask, session: Session) -> None:
    @app.get('/images/<key>/<int:number>/prediction')
    def prediction(key: str, number: int):
        answer = session.answer(key, number)
        return jsonify(seconds=answer.seconds, **content_of(answer.found))

    @app.get('/images/<key>/<int:number>/scores')
    def scores(key: str, number: int):
        place, answer = point(), session.answer(key, number)
        if answer.probabilities is None:
            abort(400, 'only a segmentor has scores at a pixel')
        row, column = (int(share * size) for share, size in zip(place, answer.found.labels.shape))
        here = answer.probabilities[:, row, column].astype(float)
        top = np.argsort(-here, kind='stable')[:CLASSES]
        return jsonify(classes=top.tolist(), scores=here[top].tolist())

    @app.get('/images/<key>/<int:number>/field')
    def field(key: str, number: int):
        place, stage, stages = point(), request.args.get('stage', -1, int), len(session.subject(number).strides)
        if not 0 <= stage < stages:
            abort(400, f'stage must be in 0 to {stages - 1}')
        cells, (height, width) = session.receptive_field(key, number, place, stage)
        rows, columns = cells.shape
        return jsonify(
            values=encoded(np.rint(255 * cells)),
            size=(columns, rows),
            # the last cells may reach over the edge
            extent=(columns * CELL / width, rows * CELL / height),
        )


def _add_errors(app: Flask) -> None:
    @app.errorhandler(ImageError)
    def no_image(error: ImageError):
        return jsonify(error=str(error)), 415

    @app.errorhandler(Unknown)
    def unknown(error: Unknown):
        return jsonify(error=str(error)), 404

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException):
        text = f'the file is larger than {MAX_BYTES >> 20} MB' if error.code == 413 else error.description
        return jsonify(error=text), error.code

    @app.errorhandler(Exception)
    def failed(error: Exception):
        app.logger.exception('a request failed')
        return jsonify(error=f'the model failed with {type(error).__name__}: {error}'), 500


def point() -> tuple[float, float]:
    """Return the request's place in the image, as shares of height and width."""
    place = request.args.get('y', -1, float), request.args.get('x', -1, float)
    if not all(0 <= share < 1 for share in place):
        abort(400, 'x and y must be shares of the image in [0, 1)')
    return place


def describe(subject: Subject) -> dict:
    """Return what the page has to know of a model beforehand."""
    return dict(
        name=subject.name,
        task='segmentation' if subject.predictor.predicts_label_map else 'detection',
        classes=subject.predictor.classes,
        palette=subject.predictor.palette,
        strides=subject.strides,
    )


def content_of(found: LabelMap | Instances) -> dict:
    """Return a prediction as plain values; bytes are in base64."""
    if isinstance(found, LabelMap):
        return dict(labels=encoded(found.labels), size=found.labels.shape[::-1])
    return dict(
        boxes=found.boxes.tolist(),
        scores=found.scores.tolist(),
        classes=found.classes.tolist(),
        masks=None if found.masks is None else [mask_runs(mask) for mask in found.masks],
    )


def mask_runs(mask: NDArray[np.bool_]) -> dict:
    """Return the part of a mask that holds all of it, ``place`` and ``size`` as x and y, and its runs row by row.

    ``runs`` are numbers of pixels, by turns outside and inside, outside first.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return dict(place=(0, 0), size=(0, 0), runs=[])
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    flat = np.concatenate([[False], part.ravel()])
    ends = np.append(np.flatnonzero(flat[1:] != flat[:-1]), part.size)
    return dict(place=(int(columns[0]), int(rows[0])), size=part.shape[::-1], runs=np.diff(ends, prepend=0).tolist())


def encoded(values: NDArray) -> str:
    """Return whole numbers from 0 to 255 as bytes in base64."""
    return b64encode(values.astype(np.uint8).tobytes()).decode()


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = '-', size: int | str = '-') -> None:
        """Say nothing: the pointer alone makes dozens of requests a second."""
