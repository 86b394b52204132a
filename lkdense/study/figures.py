"""The figures of the report on kernel studies: each as a PNG in a folder and as an SVG for the page."""

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import count
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from .curves import (
    METRICS,
    SIZES,
    Curve,
    Gain,
    ProbeCurve,
    Setting,
    compute_curves,
    format_size,
    metric_in_percent,
    sort_results,
)
from .gain_plots import plot_gains
from .plots import plot_curve, plot_losses, plot_points, plot_probe, plot_sizes
from .published import PublishedGain

# Entry of a result: its name and unit, and the size of that unit.
COSTS = {
    'seconds_per_iteration': ('seconds per iteration', 1),
    'macs': ('multiply-adds, billions', 1e9),
    'parameters': ('parameters, millions', 1e6),
    'memory_mib': ('memory, MiB', 1),
}


class FigureWriter:
    """Draws the figures of a report into ``folder``; each method returns SVGs for the page.

    Args:
        folder: where the PNGs are written.
        colors: one for each kernel.
    """

    def __init__(self, folder: Path, colors: Mapping[str, tuple]):
        self.folder = folder
        self.colors = colors
        self.names = set()

    def draw_gains(
        self,
        published: Sequence[PublishedGain],
        numbers: Mapping[str, int],
        points: Sequence[Gain],
        shares: Sequence[Gain],
    ) -> list[str]:
        """Draw gains downstream against gains upstream, for each task in points and as a share of the error."""
        svgs = []
        # Mask AP would lie on top of box AP, so it is only in the table.
        for task, metric in (('segmentation', 'mIoU'), ('detection', 'box AP')):
            theirs = [gain for gain in published if (gain.task, gain.metric) == (task, metric)]

            for share, measured in ((False, points), (True, shares)):
                ours = [gain for gain in measured if gain.setting.task == task and gain.upstream]
                figure = plot_gains(task, theirs, numbers, ours, self.colors, share)
                unit = 'percent of the remaining error' if share else 'points'
                caption = f'Gain in {task} against gain in classification, in {unit}'
                svgs.append(self._save(['gains', task, 'share' if share else None], caption, figure))

        return svgs

    def draw_curves(self, study: Mapping) -> list[str]:
        """Draw every metric against kernel size, and for each detector the box AP by size of object."""
        curves = compute_curves(study)

        svgs = []
        for curve in curves:
            what = f'{curve.setting.metric} against kernel size'
            svgs.append(self._save_setting(study, 'curve', curve.setting, what, plot_curve(curve, self.colors)))

        for curve in curves:
            by_size = _curves_by_size(study, curve) if curve.setting.metric == 'box AP' else {}
            if by_size:
                what = 'box AP by size of object'
                svgs.append(self._save_setting(study, 'sizes', curve.setting, what, plot_sizes(by_size)))

        return svgs

    def draw_probe(self, study: Mapping, probe: ProbeCurve) -> str:
        """Draw a metric against the distance of the cue."""
        what = f'{probe.setting.metric} against the distance of the cue'
        return self._save_setting(study, 'probe', probe.setting, what, plot_probe(probe, self.colors))

    def draw_erf(self, study: Mapping) -> list[str]:
        """Draw metrics beside the area of the receptive field, after training and, as rings, before."""
        svgs = []
        for curve in compute_curves(study):
            threshold, before, after = _erf_points(study, curve.setting)
            if not before and not after:
                continue

            axis = f'area that holds {100 * threshold:g} % of the contribution,\n% of the image'
            rings = before if after else []
            note = '; rings: before training' if rings else ''
            title = 'accuracy beside receptive field', f'{curve.setting.describe()}; a dot for each training{note}'
            figure = plot_points({axis: after or before}, self.colors, f'{curve.setting.metric}, %', title, rings)

            what = f'{curve.setting.metric} beside the effective receptive field'
            svgs.append(self._save_setting(study, 'erf', curve.setting, what, figure))

        return svgs

    def draw_costs(self, study: Mapping) -> list[str]:
        """Draw metrics beside what the networks cost."""
        svgs = []
        for curve in compute_curves(study):
            panels = _cost_points(study, curve.setting)
            if panels:
                title = 'accuracy beside cost', f'{curve.setting.describe()}; a dot for each training'
                figure = plot_points(panels, self.colors, f'{curve.setting.metric}, %', title)
                what = f'{curve.setting.metric} beside {", ".join(panels)}'
                svgs.append(self._save_setting(study, 'cost', curve.setting, what, figure))

        return svgs

    def draw_losses(self, study: Mapping) -> list[str]:
        """Draw training losses, for each task, data set, head and size, with a panel for each distance of a probe."""
        figures = {}
        for result in sort_results(study['results']):
            if not result.get('curve'):
                continue
            setting = result['task'], result['data'], result['head'], result['family'], format_size(result)
            distance = result.get('distance')
            panel = '' if distance is None else f'{distance:g} pixels'
            curves = figures.setdefault(setting, {}).setdefault(panel, {})
            curves[result['kernel'], result['seed']] = result['curve']

        svgs = []
        for setting, panels in figures.items():
            words = ', '.join(filter(None, setting))
            figure = plot_losses(panels, self.colors, words)
            svgs.append(self._save([study['study'], 'loss', *setting[:3]], f'Training loss, {words}', figure))

        return svgs

    def _save_setting(self, study: Mapping, kind: str, setting: Setting, what: str, figure: Figure) -> str:
        name = [study['study'], kind, setting.task, setting.data, setting.head, setting.metric]
        return self._save(name, f'{what}, {setting.describe()}', figure)

    def _save(self, parts: Iterable[str | None], caption: str, figure: Figure) -> str:
        """Write the PNG of a figure, under a name made from ``parts``, and return its SVG."""
        name = self._free_name(parts)
        figure.savefig(self.folder / f'{name}.png', dpi=160)

        figure.set_layout_engine('none')
        text = io.StringIO()
        with rc_context({'svg.hashsalt': name}):
            figure.savefig(text, format='svg', metadata={'Date': None})

        svg = text.getvalue()
        svg = svg[svg.index('<svg') :]
        # An id must be unique within the page, and Matplotlib gives the same ids to all figures.
        svg = re.sub(r'( id="|url\(#|href="#)', rf'\g<1>{name}-', svg)
        return svg.replace('<svg ', f'<svg role="img" aria-label="{escape(caption)}" ', 1)

    def _free_name(self, parts: Iterable[str | None]) -> str:
        """Return a file name without suffix; settings may differ in something that ``parts`` leave out."""
        stem = re.sub(r'[^a-z0-9]+', '_', '_'.join(filter(None, parts)).lower()).strip('_')

        name, numbers = stem, count(2)
        while name in self.names:
            name = f'{stem}_{next(numbers)}'

        self.names.add(name)
        return name


def _results_of(study: Mapping, setting: Setting) -> list[Mapping]:
    """Return the results behind a curve."""
    results = []
    for result in study['results']:
        shared = result['family'], result['task'], result['data'], format_size(result), result['head']
        if result.get('distance') is None and shared == setting[:5]:
            results.append(result)

    return results


def _metric_of(result: Mapping, setting: Setting) -> float | None:
    """Return the metric of a setting in percent."""
    for metric, name in METRICS[setting.task].items():
        if name == setting.metric:
            return metric_in_percent(result, metric)
    raise KeyError(setting.metric)


def _erf_points(study: Mapping, setting: Setting) -> tuple[float | None, list[tuple], list[tuple]]:
    """Return a threshold and the points ``(kernel, area, metric)`` for it, before and after training."""
    areas = []
    for result in _results_of(study, setting):
        areas += [(result, area) for area in result.get('erf') or ()]

    # Half of the contribution is shown, or the share nearest to it that was measured.
    thresholds = [area['threshold'] for _, area in areas]
    threshold = min(thresholds, key=lambda share: abs(share - 0.5), default=None)

    before, after = [], []
    for result, area in areas:
        value = _metric_of(result, setting)
        if area['threshold'] == threshold and value is not None:
            points = after if area.get('trained', True) else before
            points.append((result['kernel'], 100 * area['ratio'], value))

    return threshold, before, after


def _cost_points(study: Mapping, setting: Setting) -> dict[str, list[tuple]]:
    """Return the points ``(kernel, cost, metric)`` for each kind of cost that was measured."""
    results = _results_of(study, setting)

    panels = {}
    for key, (label, unit) in COSTS.items():
        for result in results:
            value = _metric_of(result, setting)
            if value is not None and result.get(key):
                panels.setdefault(label, []).append((result['kernel'], result[key] / unit, value))

    return panels


def _curves_by_size(study: Mapping, curve: Curve) -> dict[str, Curve]:
    """Return the box AP of a curve's networks for each size of object."""
    results = sort_results(_results_of(study, curve.setting))

    curves = {}
    for size, metric in SIZES.items():
        for result in results:
            value = metric_in_percent(result, metric)
            if value is not None:
                by_kernel = curves.setdefault(size, Curve(curve.setting, curve.reach, {})).values
                by_kernel.setdefault(result['kernel'], {})[result['seed']] = value

    return curves
