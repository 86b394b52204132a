"""The report on kernel studies: one HTML page that needs no other file, and its figures as PNGs beside it."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import jinja2

from .curves import check_study, compute_gains, compute_probe_curves, format_size, sort_results
from .figures import FigureWriter
from .plots import kernel_colors
from .published import load_gains, load_sources
from .statistics import NOT_SUPPORTED, SUPPORTED, UNDECIDED, Interval, format_number, share_of_error

# These hold for any such study.
CONFOUNDS = (
    'Each interval holds the true value in 95 of 100 cases by itself: of twenty comparisons one misses it by chance.',
    'The seeds differ in initial weights and order of images. Data and recipe are the same, so the intervals say '
    'nothing about how the result would change with another data set or a recipe tuned for each kernel.',
)
GAIN_CONFOUND = (
    'A point of accuracy and a point of mIoU or AP are not the same thing. The verdicts compare points, because the '
    'papers do; the figures in percent of the remaining error show what another scale makes of it.'
)
PROBE_CONFOUND = (
    'The long-range probe measures reach, on images made for it. It is no evidence about photographs, and no verdict '
    'rests on it.'
)
# The values of these entries of a machine are understood without their names.
UNNAMED = ('cpu', 'device', 'date')


def write_report(studies: Iterable[Mapping], folder: Path) -> Path:
    """Write ``index.html`` and its figures as PNGs into ``folder``, and return the path of the page.

    On the command line: ``lkdense study report DIR``. Without a study, ``write_report([], 'published')`` shows the
    published results alone.

    Args:
        studies: contents of ``results.json`` files, as from :func:`read_results`; may be empty.
        folder: created if it is missing.

    Raises:
        ValueError: a study lacks what the report cannot do without.
    """
    studies = list(studies)
    for study in studies:
        check_study(study)

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    reach, gains, shares = {}, [], []
    for study in studies:
        for result in study['results']:
            reach[result['kernel']] = result['reach']
        gains += compute_gains(study)
        shares += compute_gains(study, share_of_error)

    published = load_gains()
    numbers = {}
    for gain in published:
        numbers.setdefault(gain.sweep, len(numbers) + 1)

    # Names of files depend on the order in which the figures are drawn.
    figures = FigureWriter(folder, kernel_colors(reach))
    central = figures.draw_gains(published, numbers, gains, shares)
    details = []
    for study in studies:
        details.append(_study_content(figures, study))

    content = {
        'title': _title(studies[0]) if len(studies) == 1 else 'Kernel size and dense prediction',
        'verdicts': [gain for gain in gains if gain.largest],
        'words': (SUPPORTED, NOT_SUPPORTED, UNDECIDED),
        'central': central,
        'published': published,
        'numbers': numbers,
        'sources': load_sources(),
        'studies': details,
    }

    path = folder / 'index.html'
    path.write_text(_environment().get_template('report.html').render(content), encoding='utf-8')
    return path


def _study_content(figures: FigureWriter, study: Mapping) -> dict:
    """Draw the figures of one study, and return everything that the template shows of it."""
    probes = compute_probe_curves(study)
    gains = compute_gains(study)

    confounds = [*study.get('confounds', ()), *CONFOUNDS]
    if gains:
        confounds.append(GAIN_CONFOUND)
    if probes:
        confounds.append(PROBE_CONFOUND)

    probe_figures = []
    for probe in probes:
        probe_figures.append((figures.draw_probe(study, probe), probe))

    metrics = {}
    for result in study['results']:
        metrics |= dict.fromkeys(result['metrics'])

    return {
        'title': _title(study),
        'machine': _machine(study),
        'probes': probe_figures,
        'curves': figures.draw_curves(study),
        'gains': list(zip(gains, compute_gains(study, share_of_error))),
        'erf': figures.draw_erf(study),
        'costs': figures.draw_costs(study),
        'losses': figures.draw_losses(study),
        'results': sort_results(study['results']),
        'metrics': list(metrics),
        'recipe': study.get('recipe') or {},
        'confounds': confounds,
    }


def _title(study: Mapping) -> str:
    return study.get('title', study['study'])


def _machine(study: Mapping) -> str:
    """Return what a study was measured on, in words."""
    machine = study.get('machine') or {}
    return ', '.join(str(value) if key in UNNAMED else f'{key} {value}' for key, value in machine.items())


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader('lkdense.study', '.'), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    environment.filters['gain'] = _format_gain
    environment.filters['size'] = format_size
    environment.filters['signed'] = lambda value: format_number(value, 2, signed=True)
    return environment


def _format_gain(interval: Interval | None) -> str:
    return interval.format(signed=True) if interval else '\N{EM DASH}'
