"""The report on all shipped configs: how a survey goes on, and that the committed page is of the committed rows."""

from pathlib import Path

import pytest

from lkdense.swap import survey as module
from lkdense.swap.survey import SWAPPED, WITHOUT_PYRAMID, Row, page, read_rows, shipped, survey

pytestmark = pytest.mark.filterwarnings('ignore::UserWarning')

DOCS = Path(__file__).parents[2] / 'docs/evidence'
MMSEG = shipped('mmseg')[0]


@pytest.fixture
def configs(tmp_path, monkeypatch):
    """Four configs as if a package brought them; two of them differ in their number of classes alone."""
    base = f'_base_ = {str(MMSEG / "upernet/upernet_r18_4xb4-80k_ade20k-512x512.py")!r}\n'
    texts = {
        'a.py': base,
        'b.py': base + 'model = dict(decode_head=dict(num_classes=7), auxiliary_head=dict(num_classes=7))',
        'broken.py': 'this is no config',
        'unet.py': f'_base_ = {str(MMSEG / "unet/unet-s5-d16_fcn_4xb4-160k_cityscapes-512x1024.py")!r}',
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(module, 'shipped', lambda package: (tmp_path, list(texts)))


def test_every_config_has_a_row_and_alike_models_are_run_once(configs, monkeypatch):
    tried = []
    monkeypatch.setattr(module, 'try_out', lambda cfg: tried.append(cfg))
    rows = list(survey('mmseg', 'slak_pico', []))
    assert [row.outcome for row in rows] == [SWAPPED, SWAPPED, 'unreadable', 'no pyramid']
    assert rows[0].model == rows[1].model
    assert rows[0].backbone == 'ResNetV1c'
    assert len(tried) == 1
    assert [row.config for row in survey('mmseg', 'slak_pico', rows[:3])] == ['unet.py']


@pytest.mark.parametrize(
    ('needle', 'to_heads', 'outcome'),
    [('lkdense', True, 'fails'), ('', True, 'heads fail too'), ('', False, 'fails too')],
)
def test_what_fails_with_its_own_backbone_too_is_told_apart(needle, to_heads, outcome, configs, monkeypatch):
    def fail(cfg):
        if needle in cfg.model.backbone.type:
            raise module.SwapError('fails', 'it fails')

    monkeypatch.setattr(module, 'try_out', fail)
    if not to_heads:
        monkeypatch.setattr('lkdense.swap.smoke_test.build', fail)
    assert next(survey('mmseg', 'slak_pico', [])).outcome == outcome


def test_the_page_tells_the_reasons():
    rows = [
        Row('mmseg', 'a.py', 'ResNet', SWAPPED, '', '1'),
        Row('mmseg', 'b.py', 'UNet', 'no pyramid', 'UNet is none', ''),
        Row('mmdet', 'c.py', 'ResNet', 'fails', 'it fails', '2'),
    ]
    text = page(rows, 'slak_pico')
    assert '| all | 3 | 2 | 1 (50.0%) |' in text
    assert '- 1: UNet is none' in text
    assert '`mmdet/c`' in text


def test_the_committed_report_is_whole_and_says_what_its_rows_say():
    rows = read_rows(DOCS / 'swap_report.csv')
    assert {(row.package, row.config) for row in rows} >= {('mmseg', config) for config in shipped('mmseg')[1][:20]}
    pyramids = [row for row in rows if row.outcome not in WITHOUT_PYRAMID]
    swapped = sum(row.outcome == SWAPPED for row in rows)
    assert f'| all | {len(rows)} | {len(pyramids)} | {swapped} ' in (DOCS / 'swap_report.md').read_text()
    runnable = [row for row in pyramids if row.outcome not in ('heads fail too', 'fails too', 'not to be run')]
    assert swapped >= 0.9 * len(pyramids)
    assert swapped >= 0.98 * len(runnable)
