"""The model zoo is what its tool makes of the configs, the published figures and the measurements of today."""

import importlib.util
import json
from pathlib import Path

import pytest
import yaml

from lkdense.config import read_config
from lkdense.models import build_model

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location('model_zoo', ROOT / 'dev/model_zoo.py')
zoo = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(zoo)
# A count that is farther than this from the published one needs a note.
TOLERANCE = 0.02


@pytest.fixture(scope='module')
def cost():
    return json.loads((ROOT / 'docs/reference/model_zoo/cost.json').read_text())


@pytest.mark.parametrize('path', [zoo.PAGE, zoo.INDEX], ids=lambda path: path.name)
def test_the_pages_are_up_to_date(path):
    assert path.read_text() == zoo.pages()[path], 'run: python dev/model_zoo.py'


def test_every_config_is_counted_and_nothing_else(cost):
    assert list(cost['models']) == zoo.configs(), 'run: python dev/model_zoo.py --measure --only NAME'
    assert set(zoo.published()['models']) <= set(zoo.configs())


@pytest.mark.parametrize(
    'name',
    [
        'upernet_slak_pico_ade20k',
        'upernet_unireplknet_t_ade20k',
        'cascade_mask_rcnn_convnext_s_coco',
        *(pytest.param(name, marks=pytest.mark.slow) for name in zoo.configs()),
    ],
)
def test_the_counts_are_those_of_today(name, cost):
    model = build_model(read_config(name))
    assert zoo.form(model, cost['models'][name]['size']) == cost['models'][name]['trained']


def test_what_deviates_from_the_published_count_is_explained(cost):
    rows = list(zoo.comparison(zoo.published(), cost))
    assert len(rows) > 30
    for row in rows:
        deviations = [float(cell.rstrip('%')) / 100 for cell in row if cell.endswith('%')]
        assert deviations
        assert row[-1] or max(map(abs, deviations)) <= TOLERANCE, row


def test_the_index_has_what_mim_reads():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    names = {collection['Name'] for collection in index['Collections']}
    assert [model['Name'] for model in index['Models']] == zoo.configs()
    for model in index['Models']:
        assert model['In Collection'] in names
        assert (ROOT / model['Config']).is_file()
        assert model['Metadata']['Trained by lkdense'] is False
        for result in model.get('Results', ()):
            assert set(result) == {'Task', 'Dataset', 'Metrics'}


def test_every_published_figure_has_its_source():
    facts = zoo.published()
    for entry in [*facts['models'].values(), *facts['classifiers']]:
        assert entry['source'] in facts['sources']


def test_what_was_reached_with_another_recipe_is_said_and_is_no_result_of_the_config(cost):
    facts = zoo.published()
    entries = {entry['config']: entry for entry in facts['classifiers'] if 'config' in entry}
    assert set(entries) == {name for name in zoo.configs() if zoo.dataset_of(name) == 'in1k' and '_pico_' not in name}
    index = {model['Name']: model for model in yaml.safe_load((ROOT / 'model-index.yml').read_text())['Models']}

    for name, entry in entries.items():
        theirs = entry.get('recipe') == 'own'
        # The config's own docstring says the same.
        docstring = ' '.join((ROOT / f'configs/{name}.py').read_text().split('"""')[1].split())
        assert f'report {entry["top1"]} % top-1' in docstring and ('with a recipe of their own' in docstring) == theirs
        row = zoo.row(name, facts, cost)
        assert f'top-1 {entry["top1"]}' + ' with a recipe of their own' * theirs in row
        assert ('Results' in index[name]) != theirs
