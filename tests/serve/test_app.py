"""What the server answers, with real models: predictions, scores and receptive fields, and errors in words."""

import base64
import io
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from PIL import Image

from lkdense.errors import UserError
from lkdense.serve.app import HEADERS, create_app, encode_mask, open_server
from lkdense.serve.images import MAX_BYTES
from lkdense.serve.served_model import CELL
from lkdense.serve.session import LRUCache

WIDTH, HEIGHT = 60, 45


@pytest.fixture(scope='module')
def client(segmentor, detector, photo, tmp_path_factory):
    path = tmp_path_factory.mktemp('examples') / 'first.png'
    path.write_bytes(photo)
    return create_app([segmentor, detector], [path], side=64, hosts=['localhost']).test_client()


@pytest.fixture(scope='module')
def image(client, photo):
    """The address of an image on the server."""
    sent = client.post('/images', data=photo).json
    assert (sent['width'], sent['height']) == (WIDTH, HEIGHT)
    return f'/images/{sent["key"]}'


def decode_bytes(answer, name='values'):
    columns, rows = answer['size']
    return np.frombuffer(base64.b64decode(answer[name]), np.uint8).reshape(rows, columns)


def test_the_page_and_its_files_are_served(client):
    page = client.get('/')
    assert page.mimetype == 'text/html'
    for name in ('page.js', 'pane.js', 'drawing.js', 'server.js', 'page.css', 'icon.svg'):
        assert client.get(f'/static/{name}').status_code == 200, name

    # It works without a network: nothing comes from another host.
    assert b'://' not in page.data
    assert {name: page.headers[name] for name in HEADERS} == HEADERS


def test_models_and_examples_are_described(client, segmentor):
    content = client.get('/models').json
    first, second = content['models']
    assert (first['name'], first['task'], len(first['classes'])) == ('segmentor', 'segmentation', 150)
    assert (second['task'], second['classes'], second['palette']) == ('detection', ['nucleus'], [[220, 20, 60]])
    assert first['palette'] == [list(colour) for colour in segmentor.predictor.palette]
    assert first['strides'] == second['strides'] == [4, 8, 16, 32]
    assert content['examples'] == ['first.png']
    assert client.get('/examples/0').mimetype == client.get('/examples/0?thumbnail').mimetype == 'image/jpeg'
    assert 'no number 1' in client.get('/examples/1').json['error']


def test_an_image_is_segmented_and_scored_at_a_point(client, image):
    prediction = client.get(f'{image}/0/prediction').json
    labels = decode_bytes(prediction, 'labels')
    assert labels.shape == (HEIGHT, WIDTH) and prediction['seconds'] > 0

    for row, column in ((0, 0), (20, 30), (HEIGHT - 1, WIDTH - 1)):
        x, y = (column + 0.5) / WIDTH, (row + 0.5) / HEIGHT
        answer = client.get(f'{image}/0/scores?x={x}&y={y}').json
        assert answer['classes'][0] == labels[row, column]
        assert answer['scores'] == sorted(answer['scores'], reverse=True)
        assert len(answer['scores']) == 8 and 0 < sum(answer['scores']) <= 1


def test_objects_are_detected_with_masks(client, image):
    prediction = client.get(f'{image}/1/prediction').json
    assert len(prediction['boxes']) == len(prediction['scores']) == len(prediction['masks']) == 20

    # The mask of the surest object lies in its box, give or take a pixel.
    (left, top), (width, height) = prediction['masks'][0]['place'], prediction['masks'][0]['size']
    box = prediction['boxes'][0]
    assert box[0] - 1 <= left and left + width <= box[2] + 1
    assert box[1] - 1 <= top and top + height <= box[3] + 1

    assert Image.open(io.BytesIO(client.get(image).data)).size == (WIDTH, HEIGHT)
    assert client.get(f'{image}/1/scores?x=0.5&y=0.5').status_code == 400


@pytest.mark.parametrize('seed', range(5))
def test_masks_come_back_from_their_runs(seed):
    generator = np.random.default_rng(seed)
    mask = np.zeros((12, 17), bool)
    mask[2:9, 3 : 3 + 3 * seed] = generator.random((7, 3 * seed)) < 0.5
    encoded = encode_mask(mask)

    pixels = []
    for index, run in enumerate(encoded['runs']):
        pixels += [bool(index % 2)] * run

    decoded = np.zeros_like(mask)
    (left, top), (width, height) = encoded['place'], encoded['size']
    decoded[top : top + height, left : left + width] = np.array(pixels, bool).reshape(height, width)
    assert (decoded == mask).all()


@pytest.mark.parametrize('number', [0, 1])
@pytest.mark.parametrize(('x', 'y'), [(0.1, 0.2), (0.5, 0.5), (0.9, 0.85)])
def test_the_receptive_field_lies_around_the_point(client, image, number, x, y):
    answer = client.get(f'{image}/{number}/field?x={x}&y={y}&stage=0').json
    cells = decode_bytes(answer)
    # The models see 96 x 72 pixels, which the detector pads to 96 x 96.
    assert cells.shape == (72 // CELL, 96 // CELL) and answer['extent'] == [1, 1]
    row, column = np.unravel_index(cells.argmax(), cells.shape)
    assert cells.max() == 255
    assert abs(row - int(y * 72 / CELL)) <= 1 and abs(column - int(x * 96 / CELL)) <= 1


def test_a_later_stage_sees_more(client, image):
    areas = []
    for stage in range(3):
        answer = client.get(f'{image}/0/field?x=.5&y=.5&stage={stage}').json
        areas.append((decode_bytes(answer) > 0).mean())

    assert areas == sorted(areas) and areas[0] < 0.5 < areas[2]


@pytest.mark.parametrize(
    ('path', 'code', 'words'),
    [
        ('/images/unknown/0/prediction', 404, 'choose it again'),
        ('IMAGE/7/prediction', 404, 'there are 2 models'),
        ('IMAGE/0/scores?x=1&y=0', 400, 'shares of the image'),
        ('IMAGE/0/scores?x=nan&y=0', 400, 'shares of the image'),
        ('IMAGE/0/field?x=0&y=0&stage=4', 400, 'stage must be in 0 to 3'),
        ('/examples/../../conftest.py', 404, 'not found'),
        ('/static/%2e%2e/app.py', 404, 'not found'),
        ('/static/..%2f..%2fapp.py', 404, 'not found'),
    ],
)
def test_wrong_questions_are_answered_with_what_was_wanted(client, image, path, code, words):
    answer = client.get(path.replace('IMAGE', image))
    assert answer.status_code == code
    assert words in answer.json['error']


def test_what_cannot_be_taken_is_refused(client, photo):
    assert client.post('/images', data=b'no image').status_code == 415
    refused = client.post('/images', data=bytes(MAX_BYTES + 1))
    assert refused.status_code == 413 and 'larger than 32 MB' in refused.json['error']
    assert client.post('/images', data=photo, headers={'Sec-Fetch-Site': 'cross-site'}).status_code == 403
    assert client.get('/models', headers={'Host': 'elsewhere.example'}).status_code == 400


def test_a_failing_model_is_reported(client, image, segmentor, monkeypatch):
    def fail(*_):
        raise RuntimeError('out of memory')

    monkeypatch.setattr(segmentor, 'compute_receptive_field', fail)
    answer = client.get(f'{image}/0/field?x=0&y=0&stage=0')
    assert answer.status_code == 500
    assert answer.json['error'] == 'the model failed with RuntimeError: out of memory'


def test_models_are_called_one_at_a_time(segmentor, photo, monkeypatch):
    inside, most = [], []

    def slow(*_):
        inside.append(threading.get_ident())
        most.append(len(inside))
        time.sleep(0.05)
        inside.pop()
        return np.zeros((1, 1)), (1, 1)

    monkeypatch.setattr(segmentor, 'compute_receptive_field', slow)
    app = create_app([segmentor, segmentor])
    key = app.test_client().post('/images', data=photo).json['key']
    paths = [f'/images/{key}/{number}/field?x=0&y=0&stage=0' for number in (0, 1, 0, 1)]

    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda path: app.test_client().get(path), paths)
        assert [answer.status_code for answer in answers] == [200] * 4

    assert most == [1, 1, 1, 1]


def test_a_prediction_is_computed_once(segmentor, photo, monkeypatch):
    calls, predict = [], segmentor.predict
    monkeypatch.setattr(segmentor, 'predict', lambda image: calls.append(1) or predict(image))
    client = create_app([segmentor]).test_client()
    key = client.post('/images', data=photo).json['key']

    for path in ('prediction', 'scores?x=0&y=0', 'prediction'):
        assert client.get(f'/images/{key}/0/{path}').status_code == 200

    assert len(calls) == 1


def test_the_cache_forgets_what_was_used_least_recently():
    cache = LRUCache(2)
    cache.put('a', 'a')
    cache.put('b', 'b')
    cache.get('a')
    cache.put('c', 'c')
    assert [cache.get(key) for key in 'abc'] == ['a', None, 'c']


def test_nothing_is_written_to_disk(client):
    opened, watching = [], True

    def watch(event, details):
        if watching and event == 'open' and details[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            opened.append(details[0])

    sys.addaudithook(watch)
    # Werkzeug would spool a form of this size to disk.
    noise = np.random.default_rng(1).integers(0, 256, (600, 900, 3), dtype=np.uint8)
    key = client.post('/images', data=cv2.imencode('.png', noise)[1].tobytes()).json['key']
    assert client.get(f'/images/{key}/0/prediction').status_code == 200
    assert client.get(f'/images/{key}').status_code == 200

    watching = False
    assert opened == []


def test_a_port_in_use_is_reported(client):
    server = open_server(client.application, '127.0.0.1', 0)
    with pytest.raises(UserError, match=f'cannot listen at 127.0.0.1:{server.port}'):
        open_server(client.application, '127.0.0.1', server.port)
    server.server_close()
