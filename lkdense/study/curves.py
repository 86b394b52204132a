"""What a study of kernel sizes shows: curves over kernels, gains downstream against upstream, reach, verdicts.

A study is a dict, the content of its ``results.json``: ``study``, ``title``, ``upstream`` (task and data of the
classification that gains are compared with) and ``results``, one for each network that was trained. A result has
``family``, ``kernel`` (a label), ``reach`` (its size in pixels of the map), ``task``, ``data``, ``size``, ``head``,
``seed`` and ``metrics`` as the hosts report them; in the long-range probe also ``distance`` and ``chance``.
"""

from collections.abc import Callable, Iterable, Mapping
from math import isnan
from typing import NamedTuple

from .statistics import UNDECIDED, Interval, judge, mean_interval, paired_differences

# Task: metrics of the hosts and their names here.
METRICS = {
    'classification': {'accuracy/top1': 'top-1'},
    'segmentation': {'mIoU': 'mIoU'},
    'detection': {'coco/bbox_mAP': 'box AP', 'coco/segm_mAP': 'mask AP', 'pascal_voc/mAP': 'mAP'},
}
# In the probe all pixels that count are equally hard, and the accuracy of guessing is known.
PROBE_METRICS = {**METRICS, 'segmentation': {'aAcc': 'pixel accuracy'}}
# Size of the objects: the metric with their box AP.
SIZES = {'small': 'coco/bbox_mAP_s', 'medium': 'coco/bbox_mAP_m', 'large': 'coco/bbox_mAP_l'}
REQUIRED_KEYS = ('name', 'family', 'kernel', 'reach', 'task', 'data', 'size', 'head', 'seed', 'metrics')


class Setting(NamedTuple):
    """The experimental setting that the networks of a curve share."""

    family: str
    task: str
    data: str
    size: str | None
    head: str | None
    metric: str

    def describe(self) -> str:
        """Return data, head, family and size in words."""
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

    def describe(self) -> str:
        """Return the verdict in words, with the figures that it rests on."""
        data, _, details = self.setting.describe().partition(', ')
        comparison = f'{self.verdict} for {self.setting.task} on {data} ({details}), {self.kernel} over {self.base}'
        downstream = f'{self.downstream.format(signed=True)} {self.setting.metric}'
        if self.upstream is None:
            return f'{comparison}: {downstream}; no classifier was trained to compare with'

        upstream = self.upstream.format(signed=True)
        difference = self.difference.format(signed=True)
        return f'{comparison}: {downstream} against {upstream} top-1, a difference of {difference}'


class ProbeCurve(NamedTuple):
    """A metric in percent by kernel, distance in pixels and seed, and the value that guessing gives."""

    setting: Setting
    reach: dict[str, float]
    values: dict[str, dict[float, dict[int, float]]]
    chance: float | None

    @property
    def threshold(self) -> float | None:
        """Halfway between chance and perfect: a distance is solved if the whole interval is above it."""
        return None if self.chance is None else (self.chance + 100) / 2

    @property
    def distances(self) -> list[float]:
        """All distances that were measured with any kernel, in ascending order."""
        return sorted(set().union(*self.values.values()))

    def solves(self, kernel: str, distance: float) -> bool:
        """Return whether networks with ``kernel`` solve ``distance``."""
        seeds = self.values[kernel].get(distance)
        if self.threshold is None or not seeds:
            return False

        interval = mean_interval(seeds.values())
        # One seed has no interval, so its value has to do.
        lowest = interval.low if interval.count > 1 else interval.mean
        return lowest > self.threshold

    def smallest_kernels(self) -> dict[float, str | None]:
        """Return the smallest kernel that solves each distance, None if none does."""
        smallest = {}
        for distance in self.distances:
            solving = [kernel for kernel in self.values if self.solves(kernel, distance)]
            smallest[distance] = solving[0] if solving else None

        return smallest


def check_study(study: Mapping) -> None:
    """Raise ValueError where a study lacks what the report cannot do without."""
    for key in ('study', 'results'):
        if key not in study:
            raise ValueError(f'a study needs {key!r}, got {", ".join(study)}')

    for result in study['results']:
        missing = [key for key in REQUIRED_KEYS if key not in result]
        if missing:
            raise ValueError(f'result {result.get("name", result)!r} lacks {", ".join(missing)}')
        if result['task'] not in METRICS:
            raise ValueError(f'task must be one of {", ".join(METRICS)}, got {result["task"]!r} in {result["name"]!r}')


def compute_curves(study: Mapping) -> list[Curve]:
    """Collect the results that are not part of a probe into curves over kernels."""
    results = [result for result in study['results'] if result.get('distance') is None]

    curves = {}
    for result in sort_results(results):
        for setting, value in _settings_and_values(result):
            curve = curves.setdefault(setting, Curve(setting, {}, {}))
            curve.reach[result['kernel']] = result['reach']
            seeds = curve.values.setdefault(result['kernel'], {})
            _add_seed(seeds, result, value)

    return _sort_by_task(curves.values())


def compute_probe_curves(study: Mapping) -> list[ProbeCurve]:
    """Collect the results of a long-range probe, which are those with a distance."""
    results = [result for result in study['results'] if result.get('distance') is not None]

    probes = {}
    for result in sort_results(results):
        for setting, value in _settings_and_values(result, PROBE_METRICS):
            probe = probes.setdefault(setting, ProbeCurve(setting, {}, {}, result.get('chance')))
            probe.reach[result['kernel']] = result['reach']
            distances = probe.values.setdefault(result['kernel'], {})
            seeds = distances.setdefault(result['distance'], {})
            _add_seed(seeds, result, value)

    return _sort_by_task(probes.values())


def compute_gains(
    study: Mapping, compare: Callable[[Mapping, Mapping], dict[int, float]] = paired_differences
) -> list[Gain]:
    """Compare what each kernel gains over the smallest one downstream and upstream.

    Args:
        study: the content of a ``results.json``.
        compare: :func:`paired_differences` for points, :func:`share_of_error` for percent of the remaining error.
    """
    curves = compute_curves(study)

    gains = []
    for curve in curves:
        if curve.setting.task == 'classification':
            continue
        classifier = _find_classifier(study, curves, curve.setting)
        base, *larger = curve.values
        for kernel in larger:
            gain = _compare(curve, classifier, kernel, base, compare)
            if gain is not None:
                gains.append(gain)

    return gains


def sort_results(results: Iterable[Mapping]) -> list[Mapping]:
    """Sort results by the size of their kernel, squares before strips."""
    return sorted(results, key=lambda r: (r['reach'], bool(r.get('strips')), r['kernel'], r['seed']))


def metric_in_percent(result: Mapping, metric: str) -> float | None:
    """Return a metric of the host in percent; None if it is missing or undefined, as the AP of no objects is."""
    value = result['metrics'].get(metric)
    if value is None or isnan(value) or value < 0:
        return None
    return value * (100 if result['task'] == 'detection' else 1)


def format_size(result: Mapping) -> str | None:
    """Return the size of the images in words: a label, or height and width in pixels, or None."""
    size = result['size']
    return size if size is None or isinstance(size, str) else ' x '.join(map(str, size))


def _compare(curve: Curve, classifier: Curve | None, kernel: str, base: str, compare: Callable) -> Gain | None:
    """Return the gain of ``kernel`` over ``base``, None if they have no seed in common."""
    downstream = compare(curve.values[kernel], curve.values[base])
    if not downstream:
        return None

    upstream = {}
    if classifier and base in classifier.values and kernel in classifier.values:
        upstream = compare(classifier.values[kernel], classifier.values[base])
    difference = _interval_or_none(paired_differences(downstream, upstream))
    downstream = mean_interval(downstream.values())

    return Gain(
        setting=curve.setting,
        kernel=kernel,
        base=base,
        downstream=downstream,
        upstream=_interval_or_none(upstream),
        difference=difference,
        verdict=judge(downstream, difference) if difference else UNDECIDED,
        largest=curve.reach[kernel] == max(curve.reach.values()),
    )


def _interval_or_none(values: Mapping[int, float]) -> Interval | None:
    return mean_interval(values.values()) if values else None


def _settings_and_values(result: Mapping, metrics: Mapping = METRICS) -> Iterable[tuple[Setting, float]]:
    """Yield the setting of each metric of a result, and its value in percent."""
    for metric, name in metrics[result['task']].items():
        value = metric_in_percent(result, metric)
        if value is not None:
            setting = Setting(
                family=result['family'],
                task=result['task'],
                data=result['data'],
                size=format_size(result),
                head=result['head'],
                metric=name,
            )
            yield setting, value


def _add_seed(seeds: dict[int, float], result: Mapping, value: float) -> None:
    if result['seed'] in seeds:
        raise ValueError(f'two results for one kernel, seed and setting; the second is {result["name"]!r}')
    seeds[result['seed']] = value


def _sort_by_task(curves: Iterable) -> list:
    tasks = list(METRICS)
    return sorted(curves, key=lambda c: (tasks.index(c.setting.task), c.setting.data, c.setting.family))


def _find_classifier(study: Mapping, curves: list[Curve], setting: Setting) -> Curve | None:
    """Return the classification of the same family, at the same size where there are several."""
    upstream = study.get('upstream') or {}
    wanted = upstream.get('task'), upstream.get('data'), setting.family

    same_size, candidates = [], []
    for curve in curves:
        if (curve.setting.task, curve.setting.data, curve.setting.family) == wanted:
            candidates.append(curve)
            if curve.setting.size == setting.size:
                same_size.append(curve)

    return next(iter(same_size + candidates), None)
