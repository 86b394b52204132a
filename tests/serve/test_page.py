"""The page in a real browser, before real models: what a user sees after each step."""

import io
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lkdense
from lkdense.commands import main
from lkdense.serve.app import create_app, open_server

IDLE = 'document.querySelector("#status").textContent === ""'
DRAWN = f'document.querySelectorAll(".legend button").length && {IDLE}'
# The colour drawn over the image in each pane, at a place given in shares of the image.
OVERLAY = (
    '[...document.querySelectorAll("canvas")].map(c => [...c.getContext("2d")'
    '.getImageData({x} * c.width, {y} * c.height, 1, 1).data])'
)


@contextmanager
def serving(models, examples=(), port=0):
    server = open_server(create_app(models, examples, side=200), '127.0.0.1', port)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.port
    finally:
        server.shutdown()
        thread.join()


def text(browser, selector):
    return browser.run(f'[...document.querySelectorAll({selector!r})].map(e => e.innerText)')


def show_example(browser, port, **look):
    browser.open(f'http://127.0.0.1:{port}/', **look)
    browser.wait('document.querySelectorAll("#examples button").length')
    browser.run('document.querySelector("#examples button").click()')
    browser.wait(DRAWN)


def view(browser, name):
    browser.run(f'document.querySelector("[value={name}]").click()')


def slide(browser, selector, value):
    browser.run(
        f'(e => {{ e.value = {value}; e.dispatchEvent(new Event("input", {{bubbles: true}})) }})'
        f'(document.querySelector({selector!r}))'
    )


@pytest.fixture(scope='module')
def photo_path(photo, tmp_path_factory):
    path = tmp_path_factory.mktemp('photo') / 'photo.png'
    path.write_bytes(photo)
    return path


def test_two_models_are_compared_at_one_pointer(browser, segmentor, detector, photo_path):
    with serving([segmentor, detector], [photo_path]) as port:
        browser.open(f'http://127.0.0.1:{port}/')
        browser.wait('document.querySelectorAll(".pane").length === 2')
        assert 'Drop an image' in text(browser, '#start')[0]
        browser.choose_file('#file', str(photo_path))
        browser.wait(DRAWN)
        assert browser.run('document.querySelector("#start").hidden')
        assert [title.split()[0] for title in text(browser, '.pane h2')] == ['segmentor', 'detector']

        # A pointer over the first pane shows in both, with the scores of each.
        browser.mouse('.view', 0.31, 0.61)
        browser.wait('document.querySelectorAll(".scores li").length >= 8')
        assert browser.run('document.querySelectorAll(".view.pointed").length') == 2
        titles = text(browser, '.scores h3')
        assert titles[0] == 'Probabilities at 18, 27' and titles[1].startswith('Boxes at 18, 27')

        # The most probable class there is the one that is drawn there.
        names, palette = segmentor.predictor.classes, segmentor.predictor.palette
        top = text(browser, '.pane:first-child .scores .name')[0]
        colour = browser.run(OVERLAY.format(x=0.31, y=0.61))[0]
        assert np.abs(np.array(colour) - [*palette[names.index(top)], 153]).max() <= 2
        slide(browser, '#opacity', 100)
        assert browser.run(OVERLAY.format(x=0.31, y=0.61))[0][3] == 255

        # A pinned point stays where it was, and keys move it.
        browser.mouse('.view', 0.31, 0.61, click=True)
        browser.mouse('.view', 0.8, 0.2)
        assert text(browser, '.scores h3')[0] == 'Probabilities at 18, 27'
        browser.run('document.querySelector(".view").focus()')
        browser.key('ArrowRight')
        browser.wait('document.querySelector(".scores h3").innerText === "Probabilities at 19, 27"')

        # A class that is hidden is not drawn.
        view(browser, 'prediction')
        browser.run('document.querySelectorAll(".pane:first-child .legend button").forEach(b => b.click())')
        assert browser.run(OVERLAY.format(x=0.31, y=0.61))[0][3] == 0
        assert not browser.errors


def test_the_receptive_field_follows_the_pointer(browser, segmentor, photo_path):
    with serving([segmentor], [photo_path]) as port:
        show_example(browser, port)
        view(browser, 'field')
        # The first stage sees little, and the last everything.
        slide(browser, '#stage', 0)

        for x, y in ((0.2, 0.2), (0.8, 0.8)):
            browser.mouse('.view', x, y)
            here, there = OVERLAY.format(x=x, y=y), OVERLAY.format(x=1 - x, y=1 - y)
            browser.wait(f'{IDLE} && {here}[0][0] > 150 && {there}[0][0] < 50')

        slide(browser, '#stage', 3)
        browser.wait(f'{IDLE} && {OVERLAY.format(x=0.2, y=0.2)}[0][0] > 50')
        assert not browser.errors


def test_a_score_slider_chooses_objects(browser, detector, photo_path):
    with serving([detector], [photo_path]) as port:
        show_example(browser, port)
        slide(browser, '#threshold', 0)
        browser.wait(f'{IDLE} && document.querySelector(".legend h3").innerText === "Objects: 20"')
        any_drawn = (
            'new Uint32Array({0}.getContext("2d").getImageData(0, 0, {0}.width, {0}.height).data.buffer).some(Number)'
        )
        assert browser.run(any_drawn.format('document.querySelector("canvas")'))
        slide(browser, '#threshold', 100)
        assert text(browser, '.legend h3') == ['Objects: 0']
        assert not browser.run(any_drawn.format('document.querySelector("canvas")'))


def drop(browser, name, content):
    browser.run(
        f'(() => {{ const d = new DataTransfer(); d.items.add(new File([{content}], {name!r}));'
        ' document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: d, bubbles: true, cancelable: true})) })()'
    )


def problem(browser, words):
    browser.wait(f'(p => !p.hidden && p.innerText.includes({words!r}))(document.querySelector("#problem"))')


def test_errors_are_shown_and_a_lost_server_is_found_again(browser, segmentor, photo_path):
    with serving([segmentor], [photo_path]) as port:
        browser.open(f'http://127.0.0.1:{port}/')
        browser.wait('document.querySelectorAll("#examples button").length')
        drop(browser, 'notes.txt', '"not an image"')
        problem(browser, 'This is no image')
        drop(browser, 'large.png', 'new Uint8Array(33 * 2 ** 20)')
        problem(browser, 'large.png is too large: 33 MB, at most 32 MB')

        # A dropped image is shown like a chosen one.
        pixels = list(photo_path.read_bytes())
        drop(browser, 'photo.png', f'new Uint8Array({pixels})')
        browser.wait(DRAWN)
        assert browser.run('document.querySelector("#problem").hidden')

    browser.mouse('.view', 0.5, 0.5)
    problem(browser, 'Is lkdense serve still running?')

    with serving([segmentor], [photo_path], port):
        browser.wait('document.querySelector("#problem").hidden')

        # The new server does not know the image.
        browser.mouse('.view', 0.6, 0.5)
        problem(browser, 'choose it again')


@pytest.mark.parametrize('theme', ['light', 'dark'])
def test_it_fits_a_telephone_in_both_themes(browser, segmentor, detector, photo_path, theme):
    with serving([segmentor, detector], [photo_path]) as port:
        show_example(browser, port, width=360, height=740, theme=theme)
        assert browser.run('document.documentElement.scrollWidth') == 360
        picture = np.array(Image.open(io.BytesIO(browser.screenshot())).convert('L'))
        assert (picture[-5:, :5].mean() > 128) == (theme == 'light')


def test_every_control_has_a_name(browser, segmentor, photo_path):
    with serving([segmentor], [photo_path]) as port:
        show_example(browser, port)
        nodes = browser.call('Accessibility.getFullAXTree')['nodes']
        roles = ('button', 'slider', 'radio', 'combobox', 'application', 'image')
        names = []
        for node in nodes:
            if node.get('role', {}).get('value') in roles:
                names.append((node['role']['value'], node['name']['value']))

        assert len(names) > 10
        assert [role for role, name in names if not name] == []


def test_the_command_serves_until_interrupted(checkpoints, photo_path, tmp_path):
    config, checkpoint = next(iter(checkpoints.items()))
    command = [sys.executable, '-um', 'lkdense', 'serve', config, checkpoint, '--images', photo_path.parent]
    # The package is found from the empty folder that the process starts in, wherever it lies.
    environment = dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=str(Path(lkdense.__file__).parents[1]))
    child = subprocess.Popen(
        [*map(str, command), '--port', '0'],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A background job of a shell ignores interrupts, and so do its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )

    line = next(line for line in child.stdout if 'http://' in line)
    assert 'upernet_convnext_pico_ade20k' in line

    with urllib.request.urlopen(re.search(r'http://127\.0\.0\.1:\d+', line).group()) as page:
        assert b'<title>lkdense serve</title>' in page.read()

    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=600)
    assert child.returncode == 0 and 'Traceback' not in errors
    assert os.listdir(tmp_path) == []


def test_a_missing_toolkit_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'flask', None)
    monkeypatch.delitem(sys.modules, 'lkdense.serve.app')

    with pytest.raises(SystemExit, match=r"pip install 'lkdense\[serve\]'"):
        main(['serve', 'config.py', 'weights.pth'])


def test_options_that_cannot_be_are_named(tmp_path):
    with pytest.raises(SystemExit, match=f'no image .* below {tmp_path}'):
        main(['serve', 'config.py', 'weights.pth', '--images', str(tmp_path)])
    with pytest.raises(SystemExit, match='--side must be at least 32, got 0'):
        main(['serve', 'config.py', 'weights.pth', '--side', '0'])
