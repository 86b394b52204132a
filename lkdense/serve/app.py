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
from .images import MAX_BYTES, ImageError, decode_image, encode_jpeg
from .served_model import CELL, DECADES, ServedModel
from .session import NotFoundError, Session

THUMBNAIL = 160  # pixels
MOST_CLASSES = 8  # number of classes that are listed at a point, the most probable ones
HEADERS = {
    'Content-Security-Policy': (
        "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Cache-Control': 'no-store',
}


def create_app(
    models: Sequence[ServedModel], examples: Sequence[Path] = (), side: int = 1024, hosts: Sequence[str] | None = None
) -> Flask:
    """Return the application.

    Args:
        models: the models.
        examples: images that the page offers.
        side: pixels to which larger images are reduced.
        hosts: names under which the page may be asked for, so that no other site can pose as it; None for any.
    """
    app = Flask(__name__)
    app.config.update(MAX_CONTENT_LENGTH=MAX_BYTES, TRUSTED_HOSTS=hosts and list(hosts))

    session = Session(models, side)
    _route_page(app, session, examples)
    _route_images(app, session)
    _route_predictions(app, session)
    _handle_errors(app)

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
    # Werkzeug gets a listener that is open already: for a port in use it would end the process itself.
    try:
        listener = socket.create_server((host, port))
    except (OSError, OverflowError) as error:
        raise UserError(f'cannot listen at {host}:{port}: {error}; --port takes another') from None

    with listener:
        return make_server(host, port, app, threaded=True, request_handler=_QuietHandler, fd=listener.fileno())


def _route_page(app: Flask, session: Session, examples: Sequence[Path]) -> None:
    @app.get('/')
    def show_page():
        return app.send_static_file('index.html')

    @app.get('/models')
    def list_models():
        return jsonify(
            models=[describe_model(model) for model in session.models],
            examples=[path.name for path in examples],
            decades=DECADES,
            max_bytes=MAX_BYTES,
        )

    # Examples have numbers, so that no path comes from outside.
    @app.get('/examples/<int:number>')
    def show_example(number: int):
        if number >= len(examples):
            raise NotFoundError(f'there are {len(examples)} examples, and no number {number}')

        side = THUMBNAIL if 'thumbnail' in request.args else session.side
        image = decode_image(examples[number].read_bytes(), side)
        return Response(encode_jpeg(image), mimetype='image/jpeg')


def _route_images(app: Flask, session: Session) -> None:
    @app.post('/images')
    def upload_image():
        if request.headers.get('Sec-Fetch-Site', 'same-origin') not in ('same-origin', 'none'):
            abort(403, 'another site may not send images')

        # The image is the whole body, because Werkzeug would spool a form to disk.
        key, image = session.add_image(request.get_data(cache=False))
        return jsonify(key=key, width=image.width, height=image.height)

    @app.get('/images/<key>')
    def show_image(key: str):
        return Response(encode_jpeg(session.get_image(key)), mimetype='image/jpeg')


def _route_predictions(app: Flask, session: Session) -> None:
    @app.get('/images/<key>/<int:number>/prediction')
    def show_prediction(key: str, number: int):
        prediction = session.predict(key, number)
        return jsonify(seconds=prediction.seconds, **to_plain_values(prediction.result))

    @app.get('/images/<key>/<int:number>/scores')
    def show_scores(key: str, number: int):
        place = parse_place()
        prediction = session.predict(key, number)
        if prediction.probabilities is None:
            abort(400, 'only a segmentor has scores at a pixel')

        row, column = (int(share * size) for share, size in zip(place, prediction.result.labels.shape))
        probabilities = prediction.probabilities[:, row, column].astype(float)
        classes = np.argsort(-probabilities, kind='stable')[:MOST_CLASSES]
        return jsonify(classes=classes.tolist(), scores=probabilities[classes].tolist())

    @app.get('/images/<key>/<int:number>/field')
    def show_receptive_field(key: str, number: int):
        place = parse_place()
        stage = request.args.get('stage', -1, int)
        stages = len(session.get_model(number).strides)
        if not 0 <= stage < stages:
            abort(400, f'stage must be in 0 to {stages - 1}')

        cells, (height, width) = session.compute_receptive_field(key, number, place, stage)
        rows, columns = cells.shape
        return jsonify(
            values=encode_bytes(np.rint(255 * cells)),
            size=(columns, rows),
            # The last cells may reach over the edge of the image, so this may be more than 1.
            extent=(columns * CELL / width, rows * CELL / height),
        )


def _handle_errors(app: Flask) -> None:
    @app.errorhandler(ImageError)
    def image_error(error: ImageError):
        return jsonify(error=str(error)), 415

    @app.errorhandler(NotFoundError)
    def not_found(error: NotFoundError):
        return jsonify(error=str(error)), 404

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException):
        text = f'the file is larger than {MAX_BYTES >> 20} MB' if error.code == 413 else error.description
        return jsonify(error=text), error.code

    @app.errorhandler(Exception)
    def model_error(error: Exception):
        app.logger.exception('a request failed')
        return jsonify(error=f'the model failed with {type(error).__name__}: {error}'), 500


def parse_place() -> tuple[float, float]:
    """Return the request's place in the image, as shares of height and width."""
    place = request.args.get('y', -1, float), request.args.get('x', -1, float)
    if not all(0 <= share < 1 for share in place):
        abort(400, 'x and y must be shares of the image in [0, 1)')
    return place


def describe_model(model: ServedModel) -> dict:
    """Return what the page has to know of a model before it shows an image."""
    return dict(
        name=model.name,
        task='segmentation' if model.predictor.predicts_label_map else 'detection',
        classes=model.predictor.classes,
        palette=model.predictor.palette,
        strides=model.strides,
    )


def to_plain_values(result: LabelMap | Instances) -> dict:
    """Return a prediction as values that JSON has; bytes are in base64."""
    if isinstance(result, LabelMap):
        return dict(labels=encode_bytes(result.labels), size=result.labels.shape[::-1])

    return dict(
        boxes=result.boxes.tolist(),
        scores=result.scores.tolist(),
        classes=result.classes.tolist(),
        masks=None if result.masks is None else [encode_mask(mask) for mask in result.masks],
    )


def encode_mask(mask: NDArray[np.bool_]) -> dict:
    """Return the run lengths of a mask, row by row, within the smallest rectangle that contains it.

    Returns:
        ``place`` and ``size`` of the rectangle as x and y in pixels, and ``runs``: numbers of pixels that lie by turns
        outside and inside the mask, outside first.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return dict(place=(0, 0), size=(0, 0), runs=[])

    rectangle = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    # The pixel in front makes the first run one outside the mask, of length 0 if the first pixel lies inside.
    pixels = np.concatenate([[False], rectangle.ravel()])
    ends = np.append(np.flatnonzero(pixels[1:] != pixels[:-1]), rectangle.size)
    runs = np.diff(ends, prepend=0)
    return dict(place=(int(columns[0]), int(rows[0])), size=rectangle.shape[::-1], runs=runs.tolist())


def encode_bytes(values: NDArray) -> str:
    """Return whole numbers from 0 to 255 as bytes in base64."""
    return b64encode(values.astype(np.uint8).tobytes()).decode()


class _QuietHandler(WSGIRequestHandler):
    def log_request(self, code: int | str = '-', size: int | str = '-') -> None:
        """Log nothing: the pointer alone makes dozens of requests a second."""
