"""The report is a page that needs no other file, says what the numbers say, and looks right in a browser."""

import re
import subprocess
from html.parser import HTMLParser
from itertools import product

import numpy as np
import pytest
from PIL import Image

from lkdense.study import report
from lkdense.study.published import load_gains, load_sources
from lkdense.study.report import write_report

KERNELS = {'7': 7, '31': 31, '31 strips': 31}


def cell(kernel: str, task: str, data: str, seed: int, metrics: dict, **others) -> dict:
    """Return the result of one training."""
    reach = KERNELS[kernel]
    network = dict(family='pico', kernel=kernel, reach=reach, kernel_sizes=[reach] * 4, strips='strips' in kernel)
    setting = dict(task=task, data=data, size='128', head=None, seed=seed)

    return {'name': f'{task}-{data}-{kernel}-{seed}', **network, **setting, 'metrics': metrics, **others}


@pytest.fixture(scope='module')
def full() -> dict:
    """A study of two seeds with everything it may hold: segmentation gains 3 points, classification 1, detection 0."""
    results = []
    for kernel, seed in product(KERNELS, (0, 1)):
        larger = kernel != '7'
        costs = {
            'curve': [[10, 2.0], [20, 1.5 - 0.1 * larger + 0.01 * seed]],
            'seconds_per_iteration': 0.3 + 0.1 * larger,
            'memory_mib': 800 + 10 * seed,
            'parameters': 9e6 + 1e6 * larger,
            'macs': 1.2e9 + 1e8 * larger,
        }
        areas = [{'threshold': 0.5, 'ratio': 0.1 + 0.1 * trained, 'trained': trained} for trained in (True, False)]

        top1 = {'accuracy/top1': 60 + larger + 2 * seed}
        results.append(cell(kernel, 'classification', 'crops', seed, top1, **costs))

        miou = {'mIoU': 20 + 3 * larger + 0.01 * seed * larger + seed}
        results.append(cell(kernel, 'segmentation', 'camvid', seed, miou, head='UPerNet', erf=areas, **costs))

        ap = {'coco/bbox_mAP': 0.2 + 0.01 * seed, 'coco/segm_mAP': 0.25}
        ap |= {'coco/bbox_mAP_s': 0.1 + 0.01 * seed, 'coco/bbox_mAP_m': 0.3, 'coco/bbox_mAP_l': -1.0}
        results.append(cell(kernel, 'detection', 'nuclei', seed, ap, head='Mask R-CNN'))

        for distance in (16, 64):
            accuracy = {'aAcc': 99.0 if larger or distance == 16 else 50.0}
            results.append(cell(kernel, 'segmentation', 'probe', seed, accuracy, distance=distance, chance=50))

    return {
        'study': 'full',
        'title': 'Streets & <cells>',
        'upstream': {'task': 'classification', 'data': 'crops'},
        'machine': {'cpu': 'a CPU', 'threads': 1, 'torch': '2.13.0', 'date': '2026-11-25'},
        'recipe': {'camvid': 'AdamW 5e-4, 20 iterations'},
        'confounds': ['Trained for a moment only.'],
        'results': results,
    }


@pytest.fixture(scope='module')
def few_published():
    """Leave only a few of the published gains, because drawing all of them takes most of the time of a page."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, 'load_gains', lambda: [load_gains()[0], *load_gains()[-2:]])
        yield


@pytest.fixture(scope='module')
def page(full, few_published, tmp_path_factory):
    return write_report([full], tmp_path_factory.mktemp('report'))


@pytest.fixture(scope='module')
def published_page(tmp_path_factory):
    """The page without a study."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, 'load_gains', load_gains)
        return write_report([], tmp_path_factory.mktemp('published'))


class References(HTMLParser):
    """The files that a browser would load, the targets of links, and all ids."""

    def __init__(self, text: str):
        super().__init__()
        self.loaded, self.links, self.ids = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == 'a':
            self.links += [attributes[key] for key in ('href', 'xlink:href') if key in attributes][:1]
        else:
            self.loaded += [attributes[key] for key in ('src', 'href', 'xlink:href') if key in attributes]
        self.ids += [attributes['id']] if 'id' in attributes else []


def test_the_page_needs_no_other_file(page):
    references = References(page.read_text())
    # A reference is within the page, or an empty icon in a data URL.
    assert {reference[:1] for reference in references.loaded} <= {'#', 'd'}
    assert '@import' not in page.read_text()
    assert len(references.ids) == len(set(references.ids))


def test_published_points_and_their_table_link_to_the_sources(published_page):
    references = References(published_page.read_text())
    assert all(link.startswith('https://') for link in references.links)
    drawing = published_page.read_text().partition('<svg')[2].partition('</svg>')[0]
    assert 'https://arxiv.org/abs/2410.08049' in References(drawing).links
    assert 'https://github.com/raoyongming/HorNet' in References(drawing).links


def test_verdicts_stand_on_the_page_in_words(page):
    text = re.sub(r'<[^>]+>', '', page.read_text())
    assert (
        'Supported for segmentation on camvid (UPerNet, pico, 128), 31 over 7: '
        '+3.0 [2.9, 3.1] mIoU against +1.0 [1.0, 1.0] top-1, a difference of +2.0 [1.9, 2.1].'
    ) in text
    assert 'Not supported for detection on nuclei (Mask R-CNN, pico, 128), 31 strips over 7: +0.0 [0.0, 0.0]' in text
    assert (
        'Of 6 comparisons of the largest kernels with the smallest: 2 supported, 4 not supported, 0 undecided.' in text
    )


def test_the_page_has_what_the_study_says_of_itself(page):
    text = page.read_text()
    assert '<h1>Streets &amp; &lt;cells&gt;</h1>' in text
    for words in ('Trained for a moment only.', 'AdamW 5e-4, 20 iterations', 'a CPU, threads 1, torch 2.13.0', 'probe'):
        assert words in text
    # The smallest kernels that solve 16 and 64 pixels are 7 and 31.
    assert re.search(r'smallest kernel that solves it</td><td[^>]*>7</td><td[^>]*>31</td>', text)


def test_every_kind_of_figure_is_there_and_shows_something(page):
    names = {path.stem for path in page.parent.glob('*.png')}
    assert names == {
        *(f'gains_{task}{share}' for task in ('segmentation', 'detection') for share in ('', '_share')),
        'full_curve_classification_crops_top_1',
        'full_curve_segmentation_camvid_upernet_miou',
        'full_curve_detection_nuclei_mask_r_cnn_box_ap',
        'full_curve_detection_nuclei_mask_r_cnn_mask_ap',
        'full_sizes_detection_nuclei_mask_r_cnn_box_ap',
        'full_erf_segmentation_camvid_upernet_miou',
        'full_cost_classification_crops_top_1',
        'full_cost_segmentation_camvid_upernet_miou',
        'full_loss_classification_crops',
        'full_loss_segmentation_camvid_upernet',
        'full_probe_segmentation_probe_pixel_accuracy',
    }

    for name in names:
        pixels = np.asarray(Image.open(page.parent / f'{name}.png').convert('L'))
        assert 0.005 < (pixels < 200).mean() < 0.5, name


def test_studies_with_one_training_and_with_none_make_a_page(few_published, tmp_path):
    result = cell('7', 'segmentation', 'camvid', 0, {'mIoU': 20.0})
    studies = [{'study': 'smallest', 'results': [result]}, {'study': 'planned', 'results': []}]
    text = write_report(studies, tmp_path / 'new' / 'folder').read_text()
    assert 'Nothing was measured that could decide it' in text
    assert '1 training<' in text
    assert '0 trainings<' in text


def test_without_a_study_the_page_shows_what_is_published(published_page):
    assert sorted(path.name for path in published_page.parent.glob('*.png')) == [
        'gains_detection.png', 'gains_detection_share.png', 'gains_segmentation.png', 'gains_segmentation_share.png'
    ]  # fmt: skip

    text = published_page.read_text()
    assert 'measured here' not in text
    for source in load_sources():
        for sweep in source['sweeps']:
            assert sweep['name'] in text


def test_a_study_that_lacks_something_is_an_error(full, tmp_path):
    with pytest.raises(ValueError, match="a study needs 'results'"):
        write_report([{'study': 'empty'}], tmp_path)
    result = {key: value for key, value in full['results'][0].items() if key != 'seed'}
    with pytest.raises(ValueError, match='lacks seed'):
        write_report([{**full, 'results': [result]}], tmp_path)


def browse(chromium: str, *words: str) -> subprocess.CompletedProcess:
    command = [chromium, '--headless=new', '--no-sandbox', '--disable-gpu', '--enable-logging=stderr', *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    # Whatever a page writes to the console, errors included, is in the log.
    assert 'CONSOLE' not in done.stderr, done.stderr
    return done


def test_a_browser_shows_the_page(page, chromium, tmp_path):
    browse(chromium, f'--screenshot={tmp_path / "page.png"}', '--window-size=1200,3000', page.as_uri())
    pixels = np.asarray(Image.open(tmp_path / 'page.png').convert('RGB')).astype(int)
    assert pixels.shape == (3000, 1200, 3)

    # Each third of the page has text or a drawing, and the colour of the largest kernel is somewhere.
    assert all(0.01 < (third.mean(-1) < 128).mean() < 0.4 for third in np.split(pixels, 3))
    orange = np.abs(pixels - (249, 151, 61)).max(-1) < 12
    assert orange.sum() > 100


def test_on_a_phone_nothing_but_tables_is_wider_than_the_screen(page, chromium, tmp_path):
    # A window of headless Chromium cannot be so narrow, but a frame can.
    script = 'document.title = d.documentElement.scrollWidth'
    frame = tmp_path / 'frame.html'
    frame.write_text(
        f'<iframe width=360 height=800 src="{page.as_uri()}" '
        f'onload="const d = this.contentDocument; {script}"></iframe>'
    )
    done = browse(chromium, '--allow-file-access-from-files', '--dump-dom', frame.as_uri())
    width = int(re.search(r'<title>(.*?)</title>', done.stdout)[1])
    assert 300 < width <= 360
