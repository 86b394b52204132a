"""Two small models with random weights, and a browser without a window."""

import base64
import itertools
import json
import os
import subprocess
import time
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
import torch

from lkdense.config import config_path, read_config
from lkdense.models import load_model
from lkdense.serve.served_model import ServedModel

SEGMENTOR = config_path('upernet_convnext_pico_ade20k')
DETECTOR = config_path('examples/cascade_mask_rcnn_slak_pico_nuclei')
OPTIONS = {
    SEGMENTOR: {'test_dataloader.dataset.pipeline.1.scale': (96, 72)},
    DETECTOR: {
        'test_dataloader.dataset.pipeline.1.scale': (96, 72),
        'model.test_cfg.rcnn.score_thr': 0.0,
        'model.test_cfg.rcnn.max_per_img': 20,
    },
}
PATIENCE = 600  # seconds; a page that takes longer hangs


class Browser:
    """One tab of Chromium, driven by the DevTools protocol through pipes.

    Args:
        path: path of the browser.
        profile: folder for what the browser keeps.
    """

    def __init__(self, path: str, profile: str):
        to_browser, self.write_end = os.pipe()
        self.read_end, from_browser = os.pipe()
        options = '--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--hide-scrollbars'
        command = [path, *options, f'--user-data-dir={profile}', '--remote-debugging-pipe', 'about:blank']
        # The protocol wants its pipes to be 3 and 4. Bash does it, because sh may know numbers of one digit only.
        script = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
        self.process = subprocess.Popen(
            ['bash', '-c', script, 'bash', *command], pass_fds=(to_browser, from_browser), stderr=subprocess.DEVNULL
        )
        os.close(to_browser)
        os.close(from_browser)

        self.numbers, self.buffer, self.errors, self.session = itertools.count(1), b'', [], None
        target = self.call('Target.createTarget', url='about:blank')['targetId']
        self.session = self.call('Target.attachToTarget', targetId=target, flatten=True)['sessionId']

        for domain in ('Page', 'Runtime', 'DOM', 'Log'):
            self.call(f'{domain}.enable')

    def call(self, method: str, **params):
        """Return the result of a command; uncaught errors of the page are collected in ``errors`` meanwhile."""
        number = next(self.numbers)
        message = dict(id=number, method=method, params=params)
        if self.session:
            message['sessionId'] = self.session

        os.write(self.write_end, json.dumps(message).encode() + b'\0')

        for answer in self.messages():
            if answer.get('method') == 'Runtime.exceptionThrown':
                self.errors.append(answer['params']['exceptionDetails'])
            if answer.get('id') == number:
                assert 'error' not in answer, (method, answer)
                return answer['result']

        raise AssertionError('the browser has ended')

    def messages(self) -> Iterator[dict]:
        while True:
            while b'\0' not in self.buffer:
                part = os.read(self.read_end, 1 << 16)
                if not part:
                    return
                self.buffer += part

            text, _, self.buffer = self.buffer.partition(b'\0')
            yield json.loads(text)

    def open(self, url: str, width: int = 1200, height: int = 900, theme: str = 'light') -> None:
        self.size(width, height)
        self.call('Emulation.setEmulatedMedia', features=[dict(name='prefers-color-scheme', value=theme)])
        self.call('Page.navigate', url=url)
        self.wait('document.readyState === "complete"')

    def size(self, width: int, height: int) -> None:
        self.call('Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=1, mobile=False)

    def run(self, expression: str):
        """Return the value of a JavaScript expression; a promise is waited for."""
        answer = self.call('Runtime.evaluate', expression=expression, returnByValue=True, awaitPromise=True)
        assert 'exceptionDetails' not in answer, (expression, answer['exceptionDetails'])
        return answer['result'].get('value')

    def wait(self, expression: str):
        """Wait until an expression is true, and return its value."""
        end = time.monotonic() + PATIENCE
        while not (value := self.run(expression)):
            assert time.monotonic() < end, f'never came true: {expression}; {self.errors}'
            time.sleep(0.05)
        return value

    def choose_file(self, selector: str, path: str) -> None:
        """Choose a file in an input, as its dialog would."""
        root = self.call('DOM.getDocument')['root']['nodeId']
        node = self.call('DOM.querySelector', nodeId=root, selector=selector)['nodeId']
        self.call('DOM.setFileInputFiles', nodeId=node, files=[path])

    def mouse(self, selector: str, x: float, y: float, click: bool = False) -> None:
        """Move the mouse to a place in an element, in shares of its size, and click there."""
        left, top, width, height = self.run(
            f'(r => [r.left, r.top, r.width, r.height])(document.querySelector({selector!r}).getBoundingClientRect())'
        )
        place = dict(x=left + x * width, y=top + y * height)
        self.call('Input.dispatchMouseEvent', type='mouseMoved', **place)
        if click:
            for kind in ('mousePressed', 'mouseReleased'):
                self.call('Input.dispatchMouseEvent', type=kind, button='left', clickCount=1, **place)

    def key(self, name: str) -> None:
        for kind in ('keyDown', 'keyUp'):
            self.call('Input.dispatchKeyEvent', type=kind, key=name)

    def screenshot(self) -> bytes:
        return base64.b64decode(self.call('Page.captureScreenshot', format='png')['data'])

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(20)
        os.close(self.write_end)
        os.close(self.read_end)


@pytest.fixture(scope='session')
def browser(chromium, tmp_path_factory):
    tab = Browser(chromium, str(tmp_path_factory.mktemp('browser')))
    yield tab
    tab.close()


@pytest.fixture(scope='session')
def checkpoints(tmp_path_factory):
    """Files of random weights, by the path of the config."""
    folder = tmp_path_factory.mktemp('checkpoints')
    paths = {}
    for number, config in enumerate(OPTIONS):
        paths[config] = folder / f'{number}.pth'
        torch.save(load_model(read_config(config)).state_dict(), paths[config])

    return paths


@pytest.fixture(scope='session')
def segmentor(checkpoints):
    return ServedModel('segmentor', read_config(SEGMENTOR, OPTIONS[SEGMENTOR]), checkpoints[SEGMENTOR])


@pytest.fixture(scope='session')
def detector(checkpoints):
    return ServedModel('detector', read_config(DETECTOR, OPTIONS[DETECTOR]), checkpoints[DETECTOR])


@pytest.fixture(scope='session')
def photo():
    """The content of a PNG file of 60 x 45 pixels."""
    noise = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return cv2.imencode('.png', cv2.resize(noise, (60, 45)))[1].tobytes()
