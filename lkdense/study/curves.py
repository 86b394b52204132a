"""What a study of kernel sizes shows: curves over kernels, gains downstream against upstream, reach, verdicts.

A study is a dict, the content of its ``results.json``: ``study``, ``title``, ``upstream`` (task and data of the
classification that gains are compared with) and ``results``, one for each network that was trained. A result has
``family``, ``kernel`` (a label), ``reach`` (its size in pixels of the map), ``task``, ``data``, ``size``, ``head``,
``seed`` and ``metrics`` as the hosts report them; in the long-range probe also ``distance`` and ``chance``.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from .statistics import UNDECIDED, Interval, judge, mean_interval, paired

# task: metrics of the hosts, and their names here
METRICS = {
    'classification': {'accuracy/top1': 'top-1'},
    'segmentation': {'mIoU': 'mIoU'},
    'detection': {'coco/bbox_mAP': 'box AP', 'coco/segm_mAP': 'mask AP', 'pascal_voc/mAP': 'mAP'},
}
# in the probe every pixel that counts is as hard as any other, and guessing has an accuracy that is known
PROBE_METRICS = {**METRICS, 'segmentation': {'aAcc': 'pixel accuracy'}}
# box AP of objects by their size
SIZES = {'small': 'coco/bbox_mAP_s', 'medium': 'coco/bbox_mAP_m', 'large': 'coco/bbox_mAP_l'}
NEEDED = ('name', 'family', 'kernel', 'reach', 'task', 'data', 'size', 'head', 'seed', 'metrics')


class Setting(NamedTuple):
    """What the networks of a curve have in common."""

    family: str
    task: str
    data: str
    size: str | None
    head: str | None
    metric: str

    def text(self) -> str:
        return ', '.join(filter(None, [self.data, self.head, self.family, self.size]))


class Curve(NamedTuple):
    """A metric in percent by kernel and seed, kernels in order of reach."""

    setting: Setting
    reach: dict[str, float]
    values: dict[str, dict[int, float]]


class Gain(NamedTuple):
    """What ``kernel`` gains over ``base``, the smallest; ``upstream`` is None where no classifier was trained."""

    setting: Setting
    kernel: str
    base: str
    downstream: Interval
    upstream: Interval | None
    difference: Interval | None
    verdict: str
    largest: bool

    def sentence(self) -> str:
        """The verdict in words, with the figures that it rests on."""
        data, _, rest = self.setting.text().partition(', ')
        place = f'{self.verdict} for {self.setting.task} on {data} ({rest}), {self.kernel} over {self.base}'
        down = f'{self.downstream.text(signed=True)} {self.setting.metric}'
        if self.upstream is None:
            return f'{place}: {down}; no classifier was trained to compare with'
        against, difference = self.upstream.text(signed=True), self.difference.text(signed=True)
        return f'{place}: {down} against {against} top-1, a difference of {difference}'


class Probe(NamedTuple):
    """A metric in percent by kernel, distance in pixels and seed, and what guessing gives."""

    setting: Setting
    reach: dict[str, float]
    values: dict[str, dict[float, dict[int, float]]]
    chance: float | None

    @property
    def bar(self) -> float | None:
        """Halfway between chance and perfect: a distance is solved if the whole interval is above it."""
        return None if self.chance is None else (self.chance + 100) / 2

    def solves(self, kernel: str, distance: float) -> bool:
        if self.bar is None or not (seeds := self.values[kernel].get(distance)):
            return False
        interval = mean_interval(seeds.values())
        # one seed has no interval, and its value is all there is to say
        return (interval.low if interval.count > 1 else interval.mean) > self.bar

    def smallest(self) -> dict[float, str | None]:
        """Return for each distance the smallest kernel that solves it, None if none does."""
        distances = sorted({distance for by_distance in self.values.values() for distance in by_distance})
        return {d: next((kernel for kernel in self.values if self.solves(kernel, d)), None) for d in distances}


def check_study(study: Mapping) -> None:
    """Raise ValueError where a study lacks what the report cannot do without."""
    for key in ('study', 'results'):
        if key not in study:
            raise ValueError(f'a study needs {key!r}, got {", ".join(study)}')
    for result in study['results']:
        if missing := [key for key in NEEDED if key not in result]:
            raise ValueError(f'result {result.get("name", result)!r} lacks {", ".join(missing)}')
        if result['task'] not in METRICS:
            raise ValueError(f'task must be one of {", ".join(METRICS)}, got {result["task"]!r} in {result["name"]!r}')


def compute_curves(study: Mapping) -> list[Curve]:
    """Collect the results that are no part of a probe into curves over kernels."""
    curves = {}
    for result in in_order(r for r in study['results'] if r.get('distance') is None):
        for setting, value in _values(result):
            curve = curves.setdefault(setting, Curve(setting, {}, {}))
            curve.reach[result['kernel']] = result['reach']
            _put(curve.values.setdefault(result['kernel'], {}), result, value)
    return _by_task(curves.values())


def compute_probes(study: Mapping) -> list[Probe]:
    """Collect the results of a long-range probe, those that have a distance."""
    probes = {}
    for result in in_order(r for r in study['results'] if r.get('distance') is not None):
        for setting, value in _values(result, PROBE_METRICS):
            probe = probes.setdefault(setting, Probe(setting, {}, {}, result.get('chance')))
            probe.reach[result['kernel']] = result['reach']
            _put(probe.values.setdefault(result['kernel'], {}).setdefault(result['distance'], {}), result, value)
    return _by_task(probes.values())


def compute_gains(study: Mapping, gain: Callable[[Mapping, Mapping], dict[int, float]] = paired) -> list[Gain]:
    """Compare what each kernel gains over the smallest one downstream and upstream.

    Args:
        study: the content of a ``results.json``.
        gain: :func:`paired` for points, :func:`share_of_error` for percent of the remaining error.
    """
    curves = compute_curves(study)
    gains = []

    for curve in curves:
        if curve.setting.task == 'classification':
            continue

        upstream = _upstream(study, curves, curve.setting)
        (base, values), *larger = curve.values.items()
        for kernel, ours in larger:
            down, up = gain(ours, values), {}
            if upstream and base in upstream.values and kernel in upstream.values:
                up = gain(upstream.values[kernel], upstream.values[base])

            difference = paired(down, up)
            if not down:
                continue

            intervals = [mean_interval(by_seed.values()) if by_seed else None for by_seed in (down, up, difference)]
            verdict = judge(intervals[0], intervals[2]) if intervals[2] else UNDECIDED
            largest = curve.reach[kernel] == max(curve.reach.values())
            gains.append(Gain(curve.setting, kernel, base, *intervals, verdict, largest))

    return gains


def in_order(results: Iterable[Mapping]) -> list[Mapping]:
    """Sort results by the size of their kernel, squares before strips."""
    return sorted(results, key=lambda r: (r['reach'], bool(r.get('strips')), r['kernel'], r['seed']))


def percent(result: Mapping, metric: str) -> float | None:
    """Return a metric of the host in percent; None where it is not there, or undefined, as AP of no objects is."""
    value = result['metrics'].get(metric)
    if value is None or value != value or value < 0:
        return None
    return value * (100 if result['task'] == 'detection' else 1)


def size_label(result: Mapping) -> str | None:
    """Return the size of the images in words: a label, or height and width in pixels, or None."""
    size = result['size']
    return size if size is None or isinstance(size, str) else ' x '.join(map(str, size))


def _values(result: Mapping, names: Mapping = METRICS) -> Iterable[tuple[Setting, float]]:
    for metric, name in names[result['task']].items():
        if (value := percent(result, metric)) is not None:
            yield (
                Setting(result['family'], result['task'], result['data'], size_label(result), result['head'], name),
                value,
            )


def _put(seeds: dict[int, float], result: Mapping, value: float) -> None:
    if result['seed'] in seeds:
        raise ValueError(f'two results for one kernel, seed and setting; the second is {result["name"]!r}')
    seeds[result['seed']] = value


def _by_task(found: Iterable) -> list:
    tasks = list(METRICS)
    return sorted(found, key=lambda f: (tasks.index(f.setting.task), f.setting.data, f.setting.family))


def _upstream(study: Mapping, curves: list[Curve], setting: Setting) -> Curve | None:
    """The classification of the same family, at the same size where there are several."""
    wanted = study.get('upstream') or {}
    found = [
        curve
        for curve in curves
        if (curve.setting.task, curve.setting.data) == (wanted.get('task'), wanted.get('data'))
        and curve.setting.family == setting.family
    ]
    return next((curve for curve in found if curve.setting.size == setting.size), found[0] if found else None)
