"""What others have published on kernel size, as data: a file per family, with the source of every figure.

A file has ``rows``, networks with their accuracy ``upstream`` and on the ``downstream`` tasks, and ``sweeps`` through
them, the first row of which is the one with the smaller kernel. ``differs`` says what a sweep changes: the ``kernel``
alone, its ``shape``, or the ``network``. ``unverified`` in a row says why its figures are not from the source itself.
"""

from importlib.resources import files
from typing import NamedTuple

import yaml


class PublishedGain(NamedTuple):
    """What one network of a sweep gains over its first, in points of the two metrics, and what the first had."""

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
    """Return the files as they are, in the order of their names."""
    paths = sorted(path for path in files(__name__).iterdir() if path.name.endswith('.yml'))
    return [yaml.safe_load(path.read_text(encoding='utf-8')) for path in paths]


def load_gains() -> list[PublishedGain]:
    """Return every gain of a larger kernel that is published both upstream and downstream."""
    return [
        gain
        for source in load_sources()
        for sweep in source['sweeps']
        if sweep['differs'] != 'shape'
        for downstream in source['downstream']
        for gain in _gains(source, sweep, downstream)
    ]


def _gains(source: dict, sweep: dict, downstream: str) -> list[PublishedGain]:
    base, *larger = (source['rows'][row] | {'row': row} for row in sweep['rows'])
    kind = source['downstream'][downstream]
    gains = []

    for row in larger:
        if not all(key in end for key in ('upstream', downstream) for end in (base, row)):
            continue

        origin = row.get('source', source['source'])
        gains.append(
            PublishedGain(
                sweep=sweep['name'],
                kernels=(base['row'], row['row']),
                differs=sweep['differs'],
                task=kind['task'],
                data=kind['data'],
                metric=kind['metric'],
                recipe=kind['recipe'],
                # the sources give two decimals at most
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
