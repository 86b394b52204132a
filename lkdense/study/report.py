"""The report on kernel studies: one HTML page that needs no other file, and its pictures as PNGs beside it."""

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import chain, count
from pathlib import Path
from typing import NamedTuple

import jinja2
from matplotlib import rc_context
from matplotlib.figure import Figure

from ..analysis.kernel_plots import (
    kernel_colors,
    plot_curve,
    plot_gains,
    plot_losses,
    plot_points,
    plot_probe,
    plot_sizes,
)
from ..analysis.kernel_study import (
    METRICS,
    SIZES,
    Curve,
    Gain,
    Probe,
    Setting,
    check_study,
    compute_curves,
    compute_gains,
    compute_probes,
    in_order,
    percent,
    size_label,
)
from ..analysis.published import PublishedGain, load_gains, load_sources
from ..analysis.statistics import NOT_SUPPORTED, SUPPORTED, UNDECIDED, number, share_of_error

# measured quantity: its name, unit and size of the unit
COSTS = {
    'seconds_per_iteration': ('seconds per iteration', 1),
    'macs': ('multiply-adds, billions', 1e9),
    'parameters': ('parameters, millions', 1e6),
    'memory_mib': ('memory, MiB', 1),
}
# hold for any such study
CONFOUNDS = (
    'Each interval holds the true value in 95 of 100 cases by itself: of twenty comparisons one misses it by chance.',
    'The seeds differ in initial weights and order of images. Data and recipe are the same, so the intervals say '
    'nothing of how the result would change with another data set or a recipe tuned for each kernel.',
)
GAIN_CONFOUND = (
    'A point of accuracy and a point of mIoU or mAP are not the same thing. The verdicts compare points, because the '
    'papers do; the figures in percent of the remaining error show what another scale makes of it.'
)
PROBE_CONFOUND = (
    'The long-range probe measures reach, on images made for it. It is no evidence about photographs, and no verdict '
    'rests on it.'
)
# of the machine, what needs no name
PLAIN = ('cpu', 'device', 'date')


class Picture(NamedTuple):
    """A figure of the page: its file's name without suffix, what it shows, and the SVG for the page."""

    name: str
    caption: str
    svg: str


def write_report(studies: Iterable[Mapping], folder: Path) -> Path:
    """Write ``index.html`` and the PNGs of its pictures into ``folder``, and return the path of the page.

    Args:
        studies: contents of ``results.json`` files; none is a report on what is published alone.
        folder: is made if it is missing.

    Raises:
        ValueError: a study lacks what the report cannot do without.
    """
    studies = list(studies)
    for study in studies:
        check_study(study)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    colors = kernel_colors({result['kernel']: result['reach'] for study in studies for result in study['results']})
    gains = [gain for study in studies for gain in compute_gains(study)]
    shares = [gain for study in studies for gain in compute_gains(study, share_of_error)]
    published = load_gains()
    numbers = {sweep: number for number, sweep in enumerate(dict.fromkeys(g.sweep for g in published), 1)}
    pictures = _Pictures(folder)
    page = (
        _environment()
        .get_template('report.html')
        .render(
            title=studies[0].get('title', studies[0]['study'])
            if len(studies) == 1
            else 'Kernel size and dense prediction',
            verdicts=[gain for gain in gains if gain.largest],
            words=(SUPPORTED, NOT_SUPPORTED, UNDECIDED),
            central=_central(pictures, published, numbers, gains, shares, colors),
            published=published,
            numbers=numbers,
            notes=[(source['title'], source['note']) for source in load_sources() if 'note' in source],
            studies=[_study(pictures, study, colors) for study in studies],
        )
    )
    path = folder / 'index.html'
    path.write_text(page, encoding='utf-8')
    return path


class _Pictures:
    """Saves figures as PNGs into a folder, and hands them on as SVGs for the page."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.names = set()

    def __call__(self, parts: Iterable[str | None], caption: str, figure: Figure) -> Picture:
        stem = re.sub(r'[^a-z0-9]+', '_', '_'.join(filter(None, parts)).lower()).strip('_')
        # settings may differ in what the name leaves out
        name = next(n for n in chain([stem], (f'{stem}_{i}' for i in count(2))) if n not in self.names)
        self.names.add(name)
        figure.savefig(self.folder / f'{name}.png', dpi=160)
        figure.set_layout_engine('none')
        text = io.StringIO()
        with rc_context({'svg.hashsalt': name}):
            figure.savefig(text, format='svg', metadata={'Date': None})
        svg = text.getvalue()
        svg = svg[svg.index('<svg') :]
        # a page has every name once, but all figures have the same
        svg = re.sub(r'( id="|url\(#|href="#)', rf'\g<1>{name}-', svg)
        return Picture(name, caption, svg.replace('<svg ', f'<svg role="img" aria-label="{escape(caption)}" ', 1))


def _central(
    pictures: _Pictures,
    published: Sequence[PublishedGain],
    numbers: Mapping[str, int],
    gains: Sequence[Gain],
    shares: Sequence[Gain],
    colors: Mapping[str, tuple],
) -> list[Picture]:
    found = []
    for task, metric in (('segmentation', 'mIoU'), ('detection', 'box mAP')):
        # mask mAP would lie upon box mAP: it is in the table
        theirs = [gain for gain in published if (gain.task, gain.metric) == (task, metric)]
        for share, ours in ((False, gains), (True, shares)):
            ours = [gain for gain in ours if gain.setting.task == task and gain.upstream]
            figure = plot_gains(task, theirs, numbers, ours, colors, share)
            unit = 'percent of the remaining error' if share else 'points'
            caption = f'Gain in {task} against gain in classification, in {unit}'
            found.append(pictures(['gains', task, 'share' if share else None], caption, figure))
    return found


def _study(pictures: _Pictures, study: Mapping, colors: Mapping[str, tuple]) -> dict:
    curves, probes, gains = compute_curves(study), compute_probes(study), compute_gains(study)
    name = study['study']
    machine = (study.get('machine') or {}).items()
    confounds = [*study.get('confounds', ()), *CONFOUNDS]
    confounds += [GAIN_CONFOUND] * bool(gains) + [PROBE_CONFOUND] * bool(probes)
    return {
        'title': study.get('title', name),
        'curves': [_curve(pictures, name, curve, colors) for curve in curves]
        + _by_size(pictures, study, curves, colors),
        'probes': [(_probe(pictures, name, probe, colors), probe) for probe in probes],
        'gains': list(zip(gains, compute_gains(study, share_of_error))),
        'erf': _erf(pictures, study, colors),
        'costs': _costs(pictures, study, colors),
        'losses': _losses(pictures, study, colors),
        'results': in_order(study['results']),
        'metrics': list(dict.fromkeys(key for result in study['results'] for key in result['metrics'])),
        'machine': ', '.join(str(value) if key in PLAIN else f'{key} {value}' for key, value in machine),
        'recipe': study.get('recipe') or {},
        'confounds': confounds,
    }


def _curve(pictures: _Pictures, name: str, curve: Curve, colors: Mapping[str, tuple]) -> Picture:
    setting = curve.setting
    caption = f'{setting.metric} against kernel size, {setting.text()}'
    return pictures(_name(name, 'curve', setting), caption, plot_curve(curve, colors))


def _by_size(
    pictures: _Pictures, study: Mapping, curves: Sequence[Curve], colors: Mapping[str, tuple]
) -> list[Picture]:
    """Of each detector the box mAP by size of object."""
    found = []
    for curve in curves:
        if curve.setting.metric != 'box mAP':
            continue
        by_size = {}
        for size, metric in SIZES.items():
            for result in in_order(_of(study, curve.setting)):
                if (value := percent(result, metric)) is not None:
                    of_size = by_size.setdefault(size, Curve(curve.setting, curve.reach, {}))
                    of_size.values.setdefault(result['kernel'], {})[result['seed']] = value
        if by_size:
            caption = f'Box mAP by size of object, {curve.setting.text()}'
            found.append(pictures(_name(study['study'], 'sizes', curve.setting), caption, plot_sizes(by_size)))
    return found


def _probe(pictures: _Pictures, name: str, probe: Probe, colors: Mapping[str, tuple]) -> Picture:
    caption = f'{probe.setting.metric} against the distance of the cue, {probe.setting.text()}'
    return pictures(_name(name, 'probe', probe.setting), caption, plot_probe(probe, colors))


def _of(study: Mapping, setting: Setting) -> list[Mapping]:
    """The results behind a curve."""
    return [
        result
        for result in study['results']
        if result.get('distance') is None
        and (result['family'], result['task'], result['data'], size_label(result), result['head']) == setting[:5]
    ]


def _metric(setting: Setting) -> str:
    return next(key for key, name in METRICS[setting.task].items() if name == setting.metric)


def _erf(pictures: _Pictures, study: Mapping, colors: Mapping[str, tuple]) -> list[Picture]:
    """Of each curve the metric beside the area of the receptive field, after training and, as rings, before."""
    found = []
    for curve in compute_curves(study):
        points = {True: [], False: []}
        measured = [(result, erf) for result in _of(study, curve.setting) for erf in result.get('erf') or ()]
        # half of the contribution, if that was measured
        threshold = min((erf['threshold'] for _, erf in measured), key=lambda t: abs(t - 0.5), default=None)
        for result, erf in measured:
            value = percent(result, _metric(curve.setting))
            if erf['threshold'] == threshold and value is not None:
                points[erf.get('trained', True)].append((result['kernel'], 100 * erf['ratio'], value))
        if not measured or not any(points.values()):
            continue
        axis = f'area that holds {100 * threshold:g} % of the contribution, % of the image'
        groups = {axis: points[True] or points[False]}
        title = 'accuracy beside receptive field', curve.setting.text()
        before = points[False] if points[True] else ()
        figure = plot_points(groups, colors, f'{curve.setting.metric}, %', title, before)
        caption = f'{curve.setting.metric} beside the effective receptive field, {curve.setting.text()}'
        found.append(pictures(_name(study['study'], 'erf', curve.setting), caption, figure))
    return found


def _costs(pictures: _Pictures, study: Mapping, colors: Mapping[str, tuple]) -> list[Picture]:
    """Of each curve the metric beside what the networks cost."""
    found = []
    for curve in compute_curves(study):
        groups = {
            label: [
                (result['kernel'], result[key] / unit, value)
                for result in _of(study, curve.setting)
                if result.get(key) and (value := percent(result, _metric(curve.setting))) is not None
            ]
            for key, (label, unit) in COSTS.items()
        }
        groups = {label: points for label, points in groups.items() if points}
        if groups:
            title = 'accuracy beside cost', curve.setting.text()
            figure = plot_points(groups, colors, f'{curve.setting.metric}, %', title)
            caption = f'{curve.setting.metric} beside {", ".join(groups)}, {curve.setting.text()}'
            found.append(pictures(_name(study['study'], 'cost', curve.setting), caption, figure))
    return found


def _losses(pictures: _Pictures, study: Mapping, colors: Mapping[str, tuple]) -> list[Picture]:
    """The training losses, in a picture for each task, data set, head and size, with a panel for each distance."""
    places = {}
    for result in in_order(study['results']):
        if result.get('curve'):
            place = result['task'], result['data'], result['head'], result['family'], size_label(result)
            groups = places.setdefault(place, {})
            distance = result.get('distance')
            curves = groups.setdefault('' if distance is None else f'{distance:g} pixels', {})
            curves[result['kernel'], result['seed']] = result['curve']
    found = []
    for place, groups in places.items():
        words = ', '.join(filter(None, place))
        figure = plot_losses(groups, colors, words)
        found.append(pictures([study['study'], 'loss', *place[:3]], f'Training loss, {words}', figure))
    return found


def _name(study: str, kind: str, setting: Setting) -> list[str | None]:
    return [study, kind, setting.task, setting.data, setting.head, setting.metric]


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader('lkdense.study', '.'), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    environment.filters['gain'] = lambda interval: interval.text(signed=True) if interval else '\N{EM DASH}'
    environment.filters['size'] = size_label
    environment.filters['signed'] = lambda value: number(value, 2, signed=True)
    return environment
