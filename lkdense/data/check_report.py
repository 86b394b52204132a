"""What is wrong with one part of a data set, as a report for people."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from ..errors import first_few, first_line

# So many classes that do not occur are named, and the rest is only counted.
ABSENT_SHOWN = 10
# The kinds of faults, in the order in which they are reported.
FAULTS = {
    'set': 'the set cannot be read at all',
    'missing image': 'images that are not there',
    'unreadable image': 'images that cannot be read',
    'missing annotation': 'annotations that are not there',
    'unreadable annotation': 'annotations that cannot be read',
    'size': 'annotations of another size than their image',
    'label': 'labels that the config has no class for',
    'nothing labelled': 'images without any label or object',
    'degenerate box': 'boxes without extent, or less than a pixel wide or high',
    'box outside': 'boxes that reach out of their image',
    'degenerate outline': 'outlines of objects without extent, of less than three points, or missing',
    'duplicate': 'images that are there twice',
    'leak': 'images that the training has too',
    'pipeline': 'samples on which the transforms fail',
}


class Report:
    """The faults and the class counts of one part of the data.

    Attributes:
        phase: ``train``, ``val`` or ``test``.
        samples: how many were read.
        faults: each kind of fault, a key of ``FAULTS``, with a line for each case.
        classes: the name of each class with how often it occurs: pixels in segmentation, boxes in detection, images in
            classification.
        known: the names of all classes.
        hashes: a hash of the content of each image, with its path.

    >>> report = Report('train')
    >>> report.add('missing image', 'photos/cat.jpg')
    >>> print('\\n'.join(report.lines()))
    train: 0 samples, 1 faults
      1 images that are not there
        photos/cat.jpg
    """

    def __init__(self, phase: str):
        self.phase = phase
        self.samples = 0
        self.faults: dict[str, list[str]] = defaultdict(list)
        self.classes: Counter[str] = Counter()
        self.known: Sequence[str] = ()
        self.hashes: dict[str, str] = {}

    def add(self, kind: str, path: object, detail: object = '') -> None:
        """Note a case of a fault; an error as ``detail`` counts with its class and its first line."""
        if isinstance(detail, Exception):
            detail = first_line(detail)
        self.faults[kind].append(f'{path}: {detail}' if detail != '' else str(path))

    def lines(self, cases: int = 3) -> Iterator[str]:
        """Yield the lines of the report: each kind of fault with its number and its first cases, then the classes."""
        yield f'{self.phase}: {self.samples} samples, {sum(map(len, self.faults.values()))} faults'

        for kind, title in FAULTS.items():
            faults = self.faults.get(kind)
            if faults:
                yield f'  {len(faults)} {title}'
                yield '    ' + first_few(faults, cases, separator='\n    ')

        total = sum(self.classes.values())
        for name, count in self.classes.most_common():
            yield f'  {name:24} {count:12,} {count / max(total, 1):7.2%}'

        absent = [name for name in self.known if name not in self.classes]
        if absent:
            yield f'  never: {first_few(absent, ABSENT_SHOWN)}'
