"""Published results on kernel size, as data: a file for each family, with the source of every figure.

A file has ``rows``, which are networks with their accuracy ``upstream`` and on the ``downstream`` tasks, and ``sweeps``
through these rows, each of which begins with the smallest kernel. ``differs`` says what a sweep changes: the ``kernel``
alone, its ``shape``, or the ``network``. ``unverified`` in a row says why its figures are not from the source itself.
"""

from importlib.resources import files
from typing import NamedTuple

import yaml


class PublishedGain(NamedTuple):
    """The gains of one network of a sweep over the first, in points of two metrics, and the metrics of the first."""

    sweep: str
    kernels: tuple[str, str]
    differs: str
    task: str
    data: str
    metric: str
    recipe: str
    upstream: float
    upstream_base: float
    downstream: float
    downstream_base: float
    verified: bool
    source: str
    url: str


def load_sources() -> list[dict]:
    """Return the content of the files, in the order of their names."""
    paths = sorted(path for path in files(__name__).iterdir() if path.name.endswith('.yml'))
    return [yaml.safe_load(path.read_text(encoding='utf-8')) for path in paths]


def load_gains() -> list[PublishedGain]:
    """Return every gain of a larger kernel that is published both upstream and downstream."""
    gains = []
    for source in load_sources():
        for sweep in source['sweeps']:
            # A sweep over shapes has no larger kernel.
            if sweep['differs'] == 'shape':
                continue
            for downstream in source['downstream']:
                gains += _sweep_gains(source, sweep, downstream)

    return gains


def _sweep_gains(source: dict, sweep: dict, downstream: str) -> list[PublishedGain]:
    """Return the gains over the first row of a sweep, as far as both tasks have a figure."""
    task = source['downstream'][downstream]
    first, *larger = sweep['rows']
    base = source['rows'][first]

    gains = []
    for name in larger:
        row = source['rows'][name]
        if not {'upstream', downstream} <= base.keys() & row.keys():
            continue

        origin = row.get('source', source['source'])
        gains.append(
            PublishedGain(
                sweep=sweep['name'],
                kernels=(first, name),
                differs=sweep['differs'],
                task=task['task'],
                data=task['data'],
                metric=task['metric'],
                recipe=task['recipe'],
                # The sources give two decimals at most.
                upstream=round(row['upstream'] - base['upstream'], 2),
                upstream_base=base['upstream'],
                downstream=round(row[downstream] - base[downstream], 2),
                downstream_base=base[downstream],
                verified='unverified' not in base and 'unverified' not in row,
                source=origin['name'],
                url=origin['url'],
            )
        )

    return gains
