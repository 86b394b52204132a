"""The pictures of the report on kernel studies: each as a PNG in a folder and as an SVG for the page."""

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import chain, count
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from .curves import METRICS, SIZES, Curve, Gain, Probe, Setting, compute_curves, in_order, percent, size_label
from .plots import plot_curve, plot_gains, plot_losses, plot_points, plot_probe, plot_sizes
from .published import PublishedGain

# measured quantity: its name, unit and size of the unit
COSTS = {
    'seconds_per_iteration': ('seconds per iteration', 1),
    'macs': ('multiply-adds, billions', 1e9),
    'parameters': ('parameters, millions', 1e6),
    'memory_mib': ('memory, MiB', 1),
}


class Pictures:
    """Draws what belongs to a report into ``folder``; each method returns SVGs for the page.

    Args:
        folder: of the PNGs.
        colors: of each kernel.
    """

    def __init__(self, folder: Path, colors: Mapping[str, tuple]):
        self.folder = folder
        self.colors = colors
        self.names = set()

    def gains(
        self,
        published: Sequence[PublishedGain],
        numbers: Mapping[str, int],
        points: Sequence[Gain],
        shares: Sequence[Gain],
    ) -> list[str]:
        """Gains downstream against gains upstream, of each task in points and in percent of the remaining error."""
        found = []
        for task, metric in (('segmentation', 'mIoU'), ('detection', 'box AP')):
            # mask AP would lie upon box AP: it is in the table
            theirs = [gain for gain in published if (gain.task, gain.metric) == (task, metric)]
            for share, ours in ((False, points), (True, shares)):
                ours = [gain for gain in ours if gain.setting.task == task and gain.upstream]
                figure = plot_gains(task, theirs, numbers, ours, self.colors, share)
                unit = 'percent of the remaining error' if share else 'points'
                caption = f'Gain in {task} against gain in classification, in {unit}'
                found.append(self._save(['gains', task, 'share' if share else None], caption, figure))

        return found

    def curves(self, study: Mapping) -> list[str]:
        """Every metric against kernel size, and of each detector the box AP by size of object."""
        found = []
        for curve in compute_curves(study):
            what = f'{curve.setting.metric} against kernel size'
            found.append(self._of_setting(study, 'curve', curve.setting, what, plot_curve(curve, self.colors)))
        for curve in compute_curves(study):
            if curve.setting.metric == 'box AP' and (by_size := _by_size(study, curve)):
                what = 'box AP by size of object'
                found.append(self._of_setting(study, 'sizes', curve.setting, what, plot_sizes(by_size)))
        return found

    def probe(self, study: Mapping, probe: Probe) -> str:
        """A metric against the distance of the cue."""
        what = f'{probe.setting.metric} against the distance of the cue'
        return self._of_setting(study, 'probe', probe.setting, what, plot_probe(probe, self.colors))

    def erf(self, study: Mapping) -> list[str]:
        """Metrics beside the area of the receptive field, after training and, as rings, before."""
        found = []
        for curve in compute_curves(study):
            points = {True: [], False: []}
            measured = [(result, erf) for result in _results(study, curve.setting) for erf in result.get('erf') or ()]
            # half of the contribution, if that was measured
            threshold = min((erf['threshold'] for _, erf in measured), key=lambda t: abs(t - 0.5), default=None)

            for result, erf in measured:
                value = _value(result, curve.setting)
                if erf['threshold'] == threshold and value is not None:
                    points[erf.get('trained', True)].append((result['kernel'], 100 * erf['ratio'], value))

            if not any(points.values()):
                continue

            axis = f'area that holds {100 * threshold:g} % of the contribution,\n% of the image'
            before = points[False] if points[True] else ()
            rings = '; rings: before training' if before else ''
            title = 'accuracy beside receptive field', f'{curve.setting.text()}; a dot for each training{rings}'
            groups = {axis: points[True] or points[False]}
            figure = plot_points(groups, self.colors, f'{curve.setting.metric}, %', title, before)
            what = f'{curve.setting.metric} beside the effective receptive field'
            found.append(self._of_setting(study, 'erf', curve.setting, what, figure))

        return found

    def costs(self, study: Mapping) -> list[str]:
        """Metrics beside what the networks cost."""
        found = []
        for curve in compute_curves(study):
            groups = {
                label: [
                    (result['kernel'], result[key] / unit, value)
                    for result in _results(study, curve.setting)
                    if result.get(key) and (value := _value(result, curve.setting)) is not None
                ]
                for key, (label, unit) in COSTS.items()
            }
            groups = {label: points for label, points in groups.items() if points}
            if groups:
                title = 'accuracy beside cost', f'{curve.setting.text()}; a dot for each training'
                figure = plot_points(groups, self.colors, f'{curve.setting.metric}, %', title)
                what = f'{curve.setting.metric} beside {", ".join(groups)}'
                found.append(self._of_setting(study, 'cost', curve.setting, what, figure))

        return found

    def losses(self, study: Mapping) -> list[str]:
        """Training losses, for each task, data set, head and size, with a panel for each distance of a probe."""
        places = {}
        for result in in_order(study['results']):
            if result.get('curve'):
                place = result['task'], result['data'], result['head'], result['family'], size_label(result)
                distance = result.get('distance')
                panel = '' if distance is None else f'{distance:g} pixels'
                curves = places.setdefault(place, {}).setdefault(panel, {})
                curves[result['kernel'], result['seed']] = result['curve']

        found = []
        for place, groups in places.items():
            words = ', '.join(filter(None, place))
            figure = plot_losses(groups, self.colors, words)
            found.append(self._save([study['study'], 'loss', *place[:3]], f'Training loss, {words}', figure))

        return found

    def _of_setting(self, study: Mapping, kind: str, setting: Setting, what: str, figure: Figure) -> str:
        name = [study['study'], kind, setting.task, setting.data, setting.head, setting.metric]
        return self._save(name, f'{what}, {setting.text()}', figure)

    def _save(self, parts: Iterable[str | None], caption: str, figure: Figure) -> str:
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
        # an id is unique in a page, and all figures have the same
        svg = re.sub(r'( id="|url\(#|href="#)', rf'\g<1>{name}-', svg)

        return svg.replace('<svg ', f'<svg role="img" aria-label="{escape(caption)}" ', 1)


def _results(study: Mapping, setting: Setting) -> list[Mapping]:
    """The results behind a curve."""
    return [
        result
        for result in study['results']
        if result.get('distance') is None
        and (result['family'], result['task'], result['data'], size_label(result), result['head']) == setting[:5]
    ]


def _value(result: Mapping, setting: Setting) -> float | None:
    return percent(result, next(key for key, name in METRICS[setting.task].items() if name == setting.metric))


def _by_size(study: Mapping, curve: Curve) -> dict[str, Curve]:
    found = {}
    for size, metric in SIZES.items():
        for result in in_order(_results(study, curve.setting)):
            if (value := percent(result, metric)) is not None:
                of_size = found.setdefault(size, Curve(curve.setting, curve.reach, {}))
                of_size.values.setdefault(result['kernel'], {})[result['seed']] = value
    return found
