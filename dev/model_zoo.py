"""Write the page of the model zoo and model-index.yml from the configs, the published figures and our measurements.

Example: python dev/model_zoo.py
         python dev/model_zoo.py --measure --only slak
The page is docs/reference/model_zoo.md. In the folder of that name, published.yml has the published figures, each with
its source. `--measure` counts and times the models anew, on this machine, into cost.json beside it.
"""

import argparse
import datetime
import json
import multiprocessing
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import yaml
from torch import nn

import lkdense
from lkdense.analysis import compute_cost, measure_run, whole_pass, zero_at_random
from lkdense.analysis.machine import machine
from lkdense.backbones import FAMILIES, StagedBackbone
from lkdense.commands import exit_on_user_error
from lkdense.config import read_config, without_onedl_notice
from lkdense.models import build_model

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / 'docs/reference/model_zoo'
PAGE, INDEX = ROOT / 'docs/reference/model_zoo.md', ROOT / 'model-index.yml'
# Data set: its title, its task, and the height and width at which papers count its models, where there are any.
DATASETS = {
    'ade20k': ('ADE20K', 'Semantic Segmentation', (512, 2048)),
    'cityscapes': ('Cityscapes', 'Semantic Segmentation', (1024, 2048)),
    'voc12': ('Pascal VOC 2012', 'Semantic Segmentation', (512, 2048)),
    'coco': ('COCO', 'Object Detection', (800, 1280)),
    'voc07': ('Pascal VOC 2007', 'Object Detection', (800, 1280)),
    'in1k': ('ImageNet-1K', 'Image Classification', (224, 224)),
}
# The models of these data sets differ from those of ADE20K in the classes alone, or are the backbones of those.
NOT_TIMED = ('cityscapes', 'voc12', 'in1k')
TIMED_AT = (512, 512)
CLASSIFIED_AT = (224, 224)
CLASSES = 1000
SPARSITY = 0.4
# Family of a host: its name, and the title and arXiv number of its paper.
PAPERS_OF_HOSTS = {
    'swin': ('Swin', 'Swin Transformer: Hierarchical Vision Transformer using Shifted Windows', '2103.14030'),
    'resnet': ('ResNet', 'Deep Residual Learning for Image Recognition', '1512.03385'),
}
# Metric as `mim` calls it, its key in published.yml, and its task where that is not the data set's.
METRICS = (
    ('mIoU', 'mIoU', None),
    ('box AP', 'box', None),
    ('mask AP', 'mask', 'Instance Segmentation'),
    ('Top 1 Accuracy', 'top1', None),
)
# The columns of a row: what a model costs, and what others have published.
COSTS = ('config', 'parameters', 'GMAC at', 'seconds', 'MiB')
RESULTS = ('config', 'published', 'published cost', 'from weights', 'source')
NOTHING = 'nothing'
COMPARED = ('model', 'form', 'M', 'published', '', 'GMAC', 'published', '')
INTRO = """# Model zoo: what every config costs, and what others published

<!-- written by dev/model_zoo.py from configs/ and from published.yml and cost.json in docs/reference/model_zoo/ -->

For each data set, a first table says what the model of every config costs; these figures are ours. A second table says
what others have published for the recipe that a config follows or, where it says so, for the same model with another
recipe. **We have trained none of these models**: the published figures are the sources', with the weights that they
started from, and say nothing about this code.

- Parameters and multiply-adds (GMAC, which papers call FLOPs) are counted by `lkdense complexity`, a multiply-add
  once, in convolutions, linear layers and products of matrices, for the model as it is trained.
- Seconds and MiB are measured: one image of 512 x 512 through the whole model, its backbone merged where it can be,
  the median of three passes after one to warm up; MiB is how far these raise the peak of memory. Each model has a
  process of its own. The machine is shared, so a fifth more or less means nothing. Measured on {machine}.
- Published mIoU is for one scale, and after the slash for several; box and mask are COCO's AP, the mean over IoU 0.50
  to 0.95; top-1 is from random weights, in percent.
"""
COMPARISON = """
## Counted against published

Our counts of millions of parameters (M) and billions of multiply-adds (GMAC), each with the published figure and the
deviation from it, for the same form of the model: `trained`, as it is trained; `merged`, with parallel branches and
norms folded; `sparse`, with 40 % of all kernels and matrices of the backbone zero, spread evenly. A deviation of more
than 2 % is explained below the table.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--measure', action='store_true', help='count and time the models on this machine, first')
    parser.add_argument('--only', default='', help='measure only configs whose name contains this')
    args = parser.parse_args()
    if args.measure:
        measure(args.only)
    for path, text in pages().items():
        path.write_text(text)
        print(path.relative_to(ROOT))


def measure(only: str) -> None:
    """Count and time every model, each in a process of its own, and write the figures after each: half an hour."""
    path = DATA / 'cost.json'
    cost = json.loads(path.read_text()) if path.exists() else dict(models={}, classifiers={})
    cost['machine'] = f'{machine()}, {datetime.date.today()}'

    for name in configs():
        if only in name:
            # Memory that the models before have left behind would hide what this one needs.
            with multiprocessing.get_context('spawn').Pool(1) as pool:
                cost['models'][name] = pool.apply(cost_of_model, (name,))
            print(name, cost['models'][name], flush=True)
            path.write_text(json.dumps(cost, indent=1, sort_keys=True) + '\n')

    for entry in published()['classifiers']:
        cost['classifiers'][entry['name']] = cost_of_classifier(entry)

    path.write_text(json.dumps(cost, indent=1, sort_keys=True) + '\n')


def cost_of_model(name: str) -> dict:
    size, timed = counted_at(name), dataset_of(name) not in NOT_TIMED
    with without_onedl_notice():
        model = build_model(read_config(name))

    ours = isinstance(model.backbone, StagedBackbone)
    forms = dict(trained=form(model, size))
    if ours:
        model.backbone.switch_to_deploy()
        forms['merged'] = form(model, size)

    run = measure_run(model, TIMED_AT, whole_pass) if timed else None
    if family_of(name) == 'slak':
        forms['sparse'] = sparse_form(build_model(read_config(name)), size)

    timing = dict(seconds=round(run.seconds, 3), mebibytes=run.mebibytes and round(run.mebibytes)) if run else {}
    return dict(size=size, **forms, **timing)


def form(model: nn.Module, size: tuple[int, int]) -> dict:
    cost = compute_cost(model, size, whole_pass)
    return dict(parameters=cost.parameters, macs=cost.macs)


def sparse_form(model: nn.Module, size: tuple[int, int]) -> dict:
    zero_at_random(model.backbone, SPARSITY)
    cost = compute_cost(model, size, whole_pass)
    return dict(parameters=cost.nonzero, macs=cost.sparse_macs)


def cost_of_classifier(entry: dict) -> dict:
    """Return what a backbone costs with a norm and a linear layer after it instead of the norms of its outputs."""
    backbone = getattr(lkdense, entry['type'])(entry['arch']).eval()
    form = entry.get('as', 'trained')
    if form == 'merged':
        backbone.switch_to_deploy()
    if form == 'sparse':
        zero_at_random(backbone, SPARSITY)

    cost, width = compute_cost(backbone, CLASSIFIED_AT), backbone.out_channels[-1]
    norms = sum(p.numel() for name, p in backbone.named_parameters() if name.split('.')[0] in backbone.output_norms)
    kept = 1 - SPARSITY if form == 'sparse' else 1
    head = round(kept * width * CLASSES)

    return dict(
        parameters=cost.nonzero - norms + 2 * width + head + CLASSES,
        macs=cost.sparse_macs + head,
    )


def pages() -> dict[Path, str]:
    """Return what is to be in the two files that this tool writes."""
    facts, cost = published(), json.loads((DATA / 'cost.json').read_text())
    return {PAGE: page(facts, cost), INDEX: index(facts, cost)}


def page(facts: dict, cost: dict) -> str:
    lines = [INTRO.format(machine=cost['machine'])]
    for dataset, (title, _, _) in DATASETS.items():
        rows = [row(name, facts, cost) for name in configs() if dataset_of(name) == dataset]
        lines += [f'## {title}\n', *cost_table(rows), '', *result_table(rows), '']
    lines += [COMPARISON, *compared_table(facts, cost), '']
    return '\n'.join(lines)


def cost_table(rows: list[tuple[str, ...]]) -> list[str]:
    """Return the table of what models cost, without the columns of measurements where none was made."""
    timed = any(seconds for _, _, _, seconds, *_ in rows)
    columns = COSTS if timed else COSTS[:3]

    return table(columns, [row[: len(columns)] for row in rows])


def result_table(rows: list[tuple[str, ...]]) -> list[str]:
    """Return the table of what others have published, of the models that they have published something of."""
    known = [(row[0], *row[len(COSTS) :]) for row in rows if row[len(COSTS)] != NOTHING]

    return table(RESULTS, known) if known else ['The sources have no figures for these models.']


def compared_table(facts: dict, cost: dict) -> list[str]:
    """Return the table of our counts beside the published ones, and below it the reasons of what deviates."""
    rows = list(comparison(facts, cost))
    reasons = [f'- {name}: {reason}' for name, *_, reason in rows if reason]

    return [*table(COMPARED, [row[:-1] for row in rows]), '', 'What is behind the deviations:', '', *reasons]


def row(name: str, facts: dict, cost: dict) -> tuple[str, ...]:
    ours, theirs = cost['models'][name], published_for(name, facts)
    height, width = ours['size']

    return (
        f'[{name}](../../configs/{name}.py)',
        f'{ours["trained"]["parameters"] / 1e6:.1f} M',
        f'{billions(ours["trained"]["macs"])}, {height} x {width}',
        f'{ours["seconds"]:.2f}' if 'seconds' in ours else '',
        str(ours.get('mebibytes') or ''),
        result(theirs),
        published_cost(theirs),
        theirs.get('weights', ''),
        source(theirs, facts),
    )


def published_for(name: str, facts: dict) -> dict:
    """Return what others report for the model of a config, which may be with another recipe; nothing: an empty dict."""
    classifiers = {entry['config']: entry for entry in facts['classifiers'] if 'config' in entry}
    return facts['models'].get(name) or classifiers.get(name, {})


def billions(macs: int) -> str:
    return f'{macs / 1e9:.{0 if macs >= 100e9 else 1}f}'


def result(theirs: dict) -> str:
    if 'mIoU' in theirs:
        return f'mIoU {theirs["mIoU"]}' + (f' / {theirs["ms"]}' if 'ms' in theirs else '')
    if 'top1' in theirs:
        return f'top-1 {theirs["top1"]}' + (' with a recipe of their own' if 'recipe' in theirs else '')
    if 'box' in theirs:
        return f'box {theirs["box"]}' + (f', mask {theirs["mask"]}' if 'mask' in theirs else '')
    return NOTHING


def published_cost(theirs: dict) -> str:
    parts = [
        f'{theirs["parameters"]} M' if 'parameters' in theirs else '',
        f'{theirs["macs"]} G' if 'macs' in theirs else '',
    ]
    return ', '.join(filter(None, parts))


def source(theirs: dict, facts: dict) -> str:
    found = facts['sources'].get(theirs.get('source'))
    return f'[{found["name"]}]({found["url"]})' if found else ''


def comparison(facts: dict, cost: dict) -> Iterator[tuple[str, ...]]:
    for name, theirs in facts['models'].items():
        if 'parameters' in theirs:
            yield compared(name, theirs, cost['models'][name][theirs.get('as', 'trained')], digits=0)
    for theirs in facts['classifiers']:
        yield compared(f'{theirs["name"]}, classifier', theirs, cost['classifiers'][theirs['name']], digits=1)


def compared(name: str, theirs: dict, ours: dict, digits: int) -> tuple[str, ...]:
    millions, gigas = ours['parameters'] / 1e6, ours['macs'] / 1e9
    counted = 'macs' in theirs

    return (
        name,
        theirs.get('as', 'trained'),
        f'{millions:.1f}',
        str(theirs['parameters']),
        f'{millions / theirs["parameters"] - 1:+.1%}',
        f'{gigas:.{digits}f}' if counted else '',
        str(theirs['macs']) if counted else '',
        f'{gigas / theirs["macs"] - 1:+.1%}' if counted else '',
        theirs.get('note', ''),
    )


def table(header: tuple[str, ...], rows: Iterator[tuple[str, ...]] | list[tuple[str, ...]]) -> list[str]:
    return [f'| {" | ".join(cells)} |' for cells in (header, ['---'] * len(header), *rows)]


def index(facts: dict, cost: dict) -> str:
    """Return the index that `mim` reads."""
    collections = [
        dict(
            Name=name,
            Paper=dict(Title=title, URL=f'https://arxiv.org/abs/{number}'),
            README=str(PAGE.relative_to(ROOT)),
        )
        for name, title, number in papers().values()
    ]
    models = [indexed(name, published_for(name, facts), cost['models'][name]) for name in configs()]
    text = yaml.safe_dump(dict(Collections=collections, Models=models), sort_keys=False, allow_unicode=True, width=120)

    return f'# written by dev/model_zoo.py; the results are what the authors published, none was trained by us\n{text}'


def indexed(name: str, theirs: dict, ours: dict) -> dict:
    title, task, _ = DATASETS[dataset_of(name)]
    metadata = {
        'Training Data': title,
        'Parameters': ours['trained']['parameters'],
        'FLOPs': ours['trained']['macs'],
        'Trained by lkdense': False,
    }
    entry = dict(Name=name, Config=f'configs/{name}.py', Metadata=metadata)
    entry['In Collection'] = papers()[family_of(name)][0]
    results = []

    # A result of another recipe is no result of this config.
    for metric, key, of_task in METRICS if 'recipe' not in theirs else ():
        if key in theirs:
            results.append((of_task or task, {metric: theirs[key]}))

    if results:
        metadata['Results published by'] = theirs['source']
        entry['Results'] = [dict(Task=task, Dataset=title, Metrics=metrics) for task, metrics in results]

    return entry


def configs() -> list[str]:
    return sorted(path.stem for path in (ROOT / 'configs').glob('*.py'))


def published() -> dict:
    return yaml.safe_load((DATA / 'published.yml').read_text())


@cache
def papers() -> dict[str, tuple[str, str, str]]:
    """Return the name of every family, and the title and arXiv number of its paper; our modules' docstrings say it."""
    ours = {}
    for name, module in FAMILIES.items():
        text = import_module(f'lkdense.backbones.{module}').__doc__
        title, number = re.search(r'"([^"]+)".*?https://arxiv\.org/abs/(\d+\.\d+)', text, re.DOTALL).groups()
        ours[module] = (name, ' '.join(title.split()), number)

    return ours | PAPERS_OF_HOSTS


def dataset_of(name: str) -> str:
    return next(dataset for dataset in DATASETS if f'_{dataset}' in name)


def family_of(name: str) -> str:
    return max((family for family in papers() if f'_{family}_' in name), key=len)


def counted_at(name: str) -> tuple[int, int]:
    """Return the size at which papers count such a model: the crop's height, and its ratio of 1 to 4 on ADE20K."""
    if '_pico_' in name and dataset_of(name) != 'in1k':
        return TIMED_AT
    crop = lkdense.get_config(name).get('crop_size')
    return (640, 2560) if crop == (640, 640) else DATASETS[dataset_of(name)][2]


if __name__ == '__main__':
    exit_on_user_error(main, 'model_zoo.py')
