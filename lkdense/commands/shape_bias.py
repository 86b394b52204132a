"""Show a model objects whose outline says one class and whose texture another, and count which of the two it follows.

Example: lkdense shape-bias CONFIG CHECKPOINT --synthetic ade20k --size 128
         lkdense shape-bias CONFIG CHECKPOINT --coco annotations/instances_val2017.json --images val2017
The first is for models trained on a set of `lkdense synthesize`; the second fills outlines of instances with the
inside of others, of the classes that the model knows. A classifier gets the object alone. As a control objects whose
cues agree are shown too: a model that recognises few of those has not learnt the classes, and its fraction means
nothing. Writes shape_bias.csv, decisions.csv, shape_bias.png, and the first images of each model, images_N.png.
"""

import argparse
import csv
from pathlib import Path

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
from ..data.synthetic.cue_conflict import BACKGROUNDS, CueImage, crop_to_object, cut_cues, draw_cues
from ..errors import UserError
from ..inference.predictor import ClassPredictor, Predictor
from ._options import ModelSpec, add_models_options, model_specs

SHOWN = 12
COLUMNS = (
    *('model', 'weights', 'follow the shape', 'follow the texture', 'neither', 'fraction shape', 'low', 'high'),
    *('guessed', 'objects whose cues agree', 'of them recognised'),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_models_options(parser)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument('--synthetic', choices=LAYOUTS, metavar='LAYOUT', help='whose synthetic set it was trained on')
    source.add_argument('--coco', type=Path, metavar='FILE', help="annotations in COCO's format, with masks")
    parser.add_argument(
        '--classes', type=int, help='how many the synthetic set has (default: as many as the model knows)'
    )
    parser.add_argument('--size', type=int, default=256, help='side in pixels of synthetic images (default: 256)')
    parser.add_argument('--images', type=Path, help='folder of the images of --coco')
    parser.add_argument(
        '--background',
        choices=BACKGROUNDS,
        default='grey',
        help="around instances of --coco; own is on the shape's side (default: grey)",
    )
    parser.add_argument(
        '--count', type=int, default=200, help='images of each kind, with --coco at most (default: 200)'
    )
    parser.add_argument('--seed', type=int, default=0, help='the same gives the same images (default: 0)')
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('work_dirs/shape_bias'),
        help='folder of what is written (default: work_dirs/shape_bias)',
    )


def main(args: argparse.Namespace) -> None:
    if args.coco and not args.images:
        raise UserError('--coco needs --images, the folder of its images')
    args.out.mkdir(parents=True, exist_ok=True)
    table, decisions, found, guessed = [], [], {}, 0.5
    for number, choice in enumerate(model_specs(args), start=1):
        if choice.checkpoint is None:
            raise UserError(f'{choice.name}: random weights decide by nothing; name a checkpoint after the config')
        cfg = choice.read()
        classifies = cfg.model.type.endswith('ImageClassifier')
        try:
            predictor = (ClassPredictor if classifies else Predictor)(cfg, choice.checkpoint)
            conflicting, agreeing = (images_for(predictor.classes, args, agree) for agree in (False, True))
        except ValueError as error:
            raise UserError(f'{choice.name}: {error}') from None
        if classifies:
            conflicting, agreeing = ([crop_to_object(cue) for cue in cues] for cues in (conflicting, agreeing))
        said, control = (compute_shape_bias(predictor, predictor.classes, cues) for cues in (conflicting, agreeing))
        bias, guessed = summarise(said), guessed_fraction(conflicting)
        recognised = sum(decision.follows == BOTH for decision in control)
        table.append(row(choice, bias, guessed, len(control), recognised))
        print(report(choice, bias, guessed, len(control), recognised), flush=True)
        decisions += [
            (choice.name, choice.weights, '/'.join(cue.shape), '/'.join(cue.texture), *decision)
            for cue, decision in zip(conflicting + agreeing, said + control)
        ]
        found[f'{choice.name}, {choice.weights}'] = bias
        plot_cues(conflicting[:SHOWN], said).savefig(args.out / f'images_{number}.png', dpi=80)
    plot_shape_bias(found, guessed).savefig(args.out / 'shape_bias.png', dpi=100)
    write(args.out / 'shape_bias.csv', COLUMNS, table)
    write(args.out / 'decisions.csv', ('model', 'weights', 'shape', 'texture', *Decision._fields), decisions)
    print(f'{args.out}: shape_bias.csv, decisions.csv, shape_bias.png, images_1.png')


def images_for(classes: tuple[str, ...], args: argparse.Namespace, agree: bool) -> list[CueImage]:
    """Return the images whose cues agree, or those whose cues do not, for a model of ``classes``.

    Raises:
        ValueError: the model's classes are not those of the data.
    """
    if args.coco:
        return list(cut_cues(args.coco, args.images, classes, args.count, args.seed, agree, args.background))
    names = LAYOUTS[args.synthetic].classes
    known = next((index for index, name in enumerate(names) if name not in classes), len(names))
    if not 2 <= (wanted := args.classes or known) <= known:
        raise ValueError(
            f'wanted at least two classes of {args.synthetic} ({", ".join(names[:3])}, ...), '
            f'the first {known} are known to the model'
        )
    return list(draw_cues(names[:wanted], args.count, (args.size, args.size), args.seed, agree))


def row(choice: ModelSpec, bias: ShapeBias, guessed: float, control: int, recognised: int) -> tuple:
    numbers = (f'{number:.3f}' for number in (bias.fraction, *bias.interval, guessed))
    return choice.name, choice.weights, *bias, *numbers, control, recognised


def report(choice: ModelSpec, bias: ShapeBias, guessed: float, control: int, recognised: int) -> str:
    low, high = bias.interval
    return (
        f'{choice.name}, {choice.weights}: {bias.fraction:.1%} [{low:.1%}, {high:.1%}] of {bias.shape + bias.texture} '
        f'decisions follow the shape (guessing: {guessed:.1%}), {bias.neither} of {sum(bias)} neither; '
        f'of {control} objects whose cues agree {recognised / control:.1%} are recognised'
    )


def write(path: Path, header: tuple[str, ...], rows: list[tuple]) -> None:
    with path.open('w', newline='') as file:
        table = csv.writer(file, lineterminator='\n')
        table.writerow(header)
        table.writerows(rows)
