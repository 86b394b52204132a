"""The report on kernel studies: one HTML page that needs no other file, and its pictures as PNGs beside it."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import jinja2

from .curves import check_study, compute_gains, compute_probes, in_order, size_label
from .figures import Pictures
from .plots import kernel_colors
from .published import load_gains, load_sources
from .statistics import NOT_SUPPORTED, SUPPORTED, UNDECIDED, number, share_of_error

# hold for any such study
CONFOUNDS = (
    'Each interval holds the true value in 95 of 100 cases by itself: of twenty comparisons one misses it by chance.',
    'The seeds differ in initial weights and order of images. Data and recipe are the same, so the intervals say '
    'nothing of how the result would change with another data set or a recipe tuned for each kernel.',
)
GAIN_CONFOUND = (
    'A point of accuracy and a point of mIoU or AP are not the same thing. The verdicts compare points, because the '
    'papers do; the figures in percent of the remaining error show what another scale makes of it.'
)
PROBE_CONFOUND = (
    'The long-range probe measures reach, on images made for it. It is no evidence about photographs, and no verdict '
    'rests on it.'
)
# of the machine, what needs no name
PLAIN = ('cpu', 'device', 'date')


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
    results = [result for study in studies for result in study['results']]
    pictures = Pictures(folder, kernel_colors({result['kernel']: result['reach'] for result in results}))
    gains = [gain for study in studies for gain in compute_gains(study)]
    shares = [gain for study in studies for gain in compute_gains(study, share_of_error)]
    published = load_gains()
    numbers = {sweep: n for n, sweep in enumerate(dict.fromkeys(gain.sweep for gain in published), 1)}
    content = {
        'title': _title(studies[0]) if len(studies) == 1 else 'Kernel size and dense prediction',
        'verdicts': [gain for gain in gains if gain.largest],
        'words': (SUPPORTED, NOT_SUPPORTED, UNDECIDED),
        'central': pictures.gains(published, numbers, gains, shares),
        'published': published,
        'numbers': numbers,
        'sources': load_sources(),
        'studies': [_study(pictures, study) for study in studies],
    }
    path = folder / 'index.html'
    path.write_text(_environment().get_template('report.html').render(content), encoding='utf-8')

    return path


def _study(pictures: Pictures, study: Mapping) -> dict:
    """What the template needs of one study."""
    probes, gains = compute_probes(study), compute_gains(study)
    machine = (study.get('machine') or {}).items()
    confounds = [*study.get('confounds', ()), *CONFOUNDS]
    confounds += [GAIN_CONFOUND] * bool(gains) + [PROBE_CONFOUND] * bool(probes)

    return {
        'title': _title(study),
        'machine': ', '.join(str(value) if key in PLAIN else f'{key} {value}' for key, value in machine),
        'probes': [(pictures.probe(study, probe), probe) for probe in probes],
        'curves': pictures.curves(study),
        'gains': list(zip(gains, compute_gains(study, share_of_error))),
        'erf': pictures.erf(study),
        'costs': pictures.costs(study),
        'losses': pictures.losses(study),
        'results': in_order(study['results']),
        'metrics': list(dict.fromkeys(key for result in study['results'] for key in result['metrics'])),
        'recipe': study.get('recipe') or {},
        'confounds': confounds,
    }


def _title(study: Mapping) -> str:
    return study.get('title', study['study'])


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader('lkdense.study', '.'), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    environment.filters['gain'] = lambda interval: interval.text(signed=True) if interval else '\N{EM DASH}'
    environment.filters['size'] = size_label
    environment.filters['signed'] = lambda value: number(value, 2, signed=True)
    return environment
