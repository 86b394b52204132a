"""Show a model objects whose outline says one class and whose texture another, and count which of the two it follows.

Example: lkdense shape-bias CONFIG CHECKPOINT --synthetic ade20k --size 128
         lkdense shape-bias CONFIG CHECKPOINT --coco annotations/instances_val2017.json --images val2017
The first is for models trained on a set of `lkdense synthesize`; the second fills outlines of instances with the
inside of others, of the classes that the model knows. A classifier gets the object alone. As a control, objects whose
cues agree are shown too: a model that recognises few of those has not learnt the classes, and its fraction means
nothing. Writes shape_bias.csv, decisions.csv, shape_bias.png, and the first images of each model, images_N.png.
"""

import argparse
import csv
from pathlib import Path
from typing import NamedTuple

from ..analysis.shape_bias import (
    BOTH,
    Decision,
    ShapeBias,
    compute_shape_bias,
    guessed_fraction,
    plot_cues,
    plot_shape_bias,
    summarise,
)
from ..data.synthetic import LAYOUTS
from ..data.synthetic.cue_conflict import BACKGROUNDS, CueImage, cut_cues, draw_cues, portrait
from ..errors import UserError
from ..inference.predictor import ClassPredictor, Predictor
from ._options import ModelSpec, add_models_options, model_specs

SHOWN = 12  # images in the picture of each model
COLUMNS = (
    *('model', 'weights', 'follow the shape', 'follow the texture', 'neither', 'fraction shape', 'low', 'high'),
    *('guessed', 'objects whose cues agree', 'of them recognised'),
)


class Outcome(NamedTuple):
    """What one model decided on one set of images."""

    spec: ModelSpec
    conflicting: list[CueImage]
    decisions: list[Decision]
    agreeing: list[CueImage]
    control: list[Decision]

    @property
    def bias(self) -> ShapeBias:
        """The decisions where the cues conflict, counted."""
        return summarise(self.decisions)

    @property
    def guessed(self) -> float:
        """The fraction that follows the shape where any class is as likely."""
        return guessed_fraction(self.conflicting)

    @property
    def recognised(self) -> int:
        """The number of objects that are recognised where the cues agree."""
        return sum(decision.follows == BOTH for decision in self.control)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_models_options(parser)

    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        '--synthetic', choices=LAYOUTS, metavar='LAYOUT', help='layout of the synthetic set it was trained on'
    )
    source.add_argument('--coco', type=Path, metavar='FILE', help="annotations in COCO's format, with masks")

    parser.add_argument(
        '--classes', type=int, help='number of classes in the synthetic set (default: as many as the model knows)'
    )
    parser.add_argument('--size', type=int, default=256, help='side in pixels of synthetic images (default: 256)')
    parser.add_argument('--images', type=Path, help='folder of the images of --coco')
    parser.add_argument(
        '--background',
        choices=BACKGROUNDS,
        default='grey',
        help='around instances of --coco; own favours the shape (default: grey)',
    )

    parser.add_argument(
        '--count', type=int, default=200, help='images of each kind, with --coco at most (default: 200)'
    )
    parser.add_argument('--seed', type=int, default=0, help='the same seed gives the same images (default: 0)')
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('work_dirs/shape_bias'),
        help='folder of the results (default: work_dirs/shape_bias)',
    )


def main(args: argparse.Namespace) -> None:
    if args.coco and not args.images:
        raise UserError('--coco needs --images, the folder of its images')

    args.out.mkdir(parents=True, exist_ok=True)
    outcomes = []

    for number, spec in enumerate(model_specs(args), start=1):
        outcome = measure(spec, args)
        print(report(outcome), flush=True)

        picture = plot_cues(outcome.conflicting[:SHOWN], outcome.decisions)
        picture.savefig(args.out / f'images_{number}.png', dpi=80)
        outcomes.append(outcome)

    biases = {f'{outcome.spec.name}, {outcome.spec.weights}': outcome.bias for outcome in outcomes}
    plot_shape_bias(biases, outcomes[-1].guessed).savefig(args.out / 'shape_bias.png', dpi=100)

    write_table(args.out / 'shape_bias.csv', COLUMNS, [row(outcome) for outcome in outcomes])
    decisions = [line for outcome in outcomes for line in decision_rows(outcome)]
    write_table(args.out / 'decisions.csv', ('model', 'weights', 'shape', 'texture', *Decision._fields), decisions)
    print(f'{args.out}: shape_bias.csv, decisions.csv, shape_bias.png, images_1.png')


def measure(spec: ModelSpec, args: argparse.Namespace) -> Outcome:
    """Show a model both kinds of images.

    Raises:
        UserError: it has no weights, they do not fit, or its classes are not those of the data.
    """
    if spec.checkpoint is None:
        raise UserError(f'{spec.name}: random weights decide by nothing; name a checkpoint after the config')

    cfg = spec.read()
    classifies = cfg.model.type.endswith('ImageClassifier')

    try:
        predictor = (ClassPredictor if classifies else Predictor)(cfg, spec.checkpoint)
        conflicting = images_for(predictor.classes, args, agree=False)
        agreeing = images_for(predictor.classes, args, agree=True)
    except ValueError as error:
        raise UserError(f'{spec.name}: {error}') from None

    if classifies:
        conflicting = [portrait(image) for image in conflicting]
        agreeing = [portrait(image) for image in agreeing]

    decisions = compute_shape_bias(predictor, predictor.classes, conflicting)
    control = compute_shape_bias(predictor, predictor.classes, agreeing)

    return Outcome(spec, conflicting, decisions, agreeing, control)


def images_for(classes: tuple[str, ...], args: argparse.Namespace, agree: bool) -> list[CueImage]:
    """Return the images whose cues agree, or those whose cues do not, for a model of ``classes``.

    Raises:
        ValueError: the model's classes are not those of the data.
    """
    if args.coco:
        return list(cut_cues(args.coco, args.images, classes, args.count, args.seed, agree, args.background))

    names = LAYOUTS[args.synthetic].classes
    known = next((index for index, name in enumerate(names) if name not in classes), len(names))
    wanted = args.classes or known
    if not 2 <= wanted <= known:
        raise ValueError(
            f'wanted at least two classes of {args.synthetic} ({", ".join(names[:3])}, ...), '
            f'the first {known} are known to the model'
        )

    return list(draw_cues(names[:wanted], args.count, (args.size, args.size), args.seed, agree))


def row(outcome: Outcome) -> tuple:
    """Return the line of a model in shape_bias.csv."""
    spec, bias = outcome.spec, outcome.bias
    shares = [f'{number:.3f}' for number in (bias.fraction, *bias.interval, outcome.guessed)]

    return spec.name, spec.weights, *bias, *shares, len(outcome.control), outcome.recognised


def decision_rows(outcome: Outcome) -> list[tuple]:
    """Return the lines of a model in decisions.csv, one for each image."""
    images = outcome.conflicting + outcome.agreeing
    decisions = outcome.decisions + outcome.control

    rows = []
    for image, decision in zip(images, decisions):
        cues = '/'.join(image.shape), '/'.join(image.texture)
        rows.append((outcome.spec.name, outcome.spec.weights, *cues, *decision))

    return rows


def report(outcome: Outcome) -> str:
    """Return what is printed of a model."""
    spec, bias, control = outcome.spec, outcome.bias, len(outcome.control)
    low, high = bias.interval

    return (
        f'{spec.name}, {spec.weights}: {bias.fraction:.1%} [{low:.1%}, {high:.1%}] of {bias.shape + bias.texture} '
        f'decisions follow the shape (guessing: {outcome.guessed:.1%}), {bias.neither} of {sum(bias)} neither; '
        f'of {control} objects whose cues agree {outcome.recognised / control:.1%} are recognised'
    )


def write_table(path: Path, header: tuple[str, ...], rows: list[tuple]) -> None:
    """Write a CSV file."""
    with path.open('w', newline='') as file:
        table = csv.writer(file, lineterminator='\n')
        table.writerow(header)
        table.writerows(rows)
