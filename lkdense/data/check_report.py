"""What was found wrong with one part of a data set, and how it is told."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from ..errors import first_line

# classes that do not occur, which are named before the rest is only counted
ABSENT_SHOWN = 10
# the kinds of faults, in the order in which they are reported
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
    """What was found in one part of the data.

    Attributes:
        phase: ``train``, ``val`` or ``test``.
        samples: how many were read.
        faults: kind of fault, a key of ``FAULTS``, to a line for each case.
        classes: name of each class to how often it occurs: pixels in segmentation, boxes in
            detection, images in classification.
        known: the names of all classes.
        hashes: of the content of each image to its path.
    """

    def __init__(self, phase: str):
        self.phase = phase
        self.samples = 0
        self.faults: dict[str, list[str]] = defaultdict(list)
        self.classes: Counter[str] = Counter()
        self.known: Sequence[str] = ()
        self.hashes: dict[str, str] = {}

    def add(self, kind: str, path: object, detail: object = '') -> None:
        """Note a case of a fault; of an error its class and its first line."""
        if isinstance(detail, Exception):
            detail = first_line(detail)
        self.faults[kind].append(f'{path}: {detail}' if detail != '' else str(path))

    def lines(self, cases: int = 3) -> Iterator[str]:
        """Tell what was found, each kind of fault with its number and the first cases."""
        yield f'{self.phase}: {self.samples} samples, {sum(map(len, self.faults.values()))} faults'
        for kind, title in FAULTS.items():
            if found := self.faults.get(kind):
                yield f'  {len(found)} {title}'
                yield from (f'    {case}' for case in found[:cases])
                if len(found) > cases:
                    yield f'    and {len(found) - cases} more'

        total = sum(self.classes.values())
        for name, count in self.classes.most_common():
            yield f'  {name:24} {count:12,} {count / max(total, 1):7.2%}'

        if absent := [name for name in self.known if name not in self.classes]:
            more = f' and {len(absent) - ABSENT_SHOWN} more' if len(absent) > ABSENT_SHOWN else ''
            yield f'  never: {", ".join(absent[:ABSENT_SHOWN])}{more}'
