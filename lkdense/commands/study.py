"""Study how kernel size matters: a grid of trainings in which nothing but the kernel differs.

Example: lkdense study plan reach --out work_dirs/reach
         lkdense study run work_dirs/reach --jobs 2
         lkdense study report work_dirs/reach
`plan` makes the data and one config for each cell, `run` trains the cells that are not done yet and goes on where it
was stopped, `report` writes a page with curves, gains, costs and a verdict.
"""

import argparse
import json
from pathlib import Path

from mmengine.config import DictAction

from ..errors import UserError
from ..study import read_results, read_study, run_here, run_in_cluster, write_plan, write_report
from ..study.cell import is_done


def add_arguments(parser: argparse.ArgumentParser) -> None:
    steps = parser.add_subparsers(required=True, metavar='{plan,run,report}')

    plan = steps.add_parser('plan', help='make the data and the config of every cell')
    plan.add_argument('study', metavar='STUDY', type=Path, help='what to vary: a path, or a name of configs/studies')
    plan.add_argument('--out', metavar='DIR', type=Path, required=True, help='folder of everything the study writes')
    plan.set_defaults(step=plan_study)

    run = steps.add_parser('run', help='train the cells that are not done')
    run.add_argument('folder', metavar='DIR', type=Path, help='folder of the plan')
    run.add_argument('--jobs', type=int, default=1, help='cells at a time, which share the cores evenly (default: 1)')
    run.add_argument('--only', metavar='TEXT', default='', help='only the cells with this text in their names')
    run.add_argument('--cluster', choices=['slurm', 'local'], help='submit to a cluster through submitit')
    run.add_argument(
        '--cluster-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE', help="submitit's parameters"
    )
    run.set_defaults(step=run_study)

    report = steps.add_parser('report', help='write results.json, the page and its figures')
    report.add_argument('folders', metavar='DIR', type=Path, nargs='+', help='plans, or results.json of earlier ones')
    report.add_argument(
        '--out', metavar='DIR', type=Path, help='folder of the page (default: report/ in the first folder)'
    )
    report.set_defaults(step=report_study)


def main(args: argparse.Namespace) -> None:
    args.step(args)


def plan_study(args: argparse.Namespace) -> None:
    cells = write_plan(read_study(args.study), args.out)
    print(f'{len(cells)} cells in {args.out / "cells"}; next: lkdense study run {args.out}')


def run_study(args: argparse.Namespace) -> None:
    if args.jobs < 1:
        raise UserError(f'--jobs must be at least 1, got {args.jobs}')

    cells = chosen_cells(args.folder, args.only)
    waiting = [cell for cell in cells if not is_done(cell)]
    print(f'{len(cells)} cells, {len(cells) - len(waiting)} of them done')

    failed = []

    def report_cell(name: str, outcome: dict | Exception) -> None:
        if isinstance(outcome, Exception):
            failed.append(name)
            print(f'{name} failed: {outcome}', flush=True)
        else:
            metrics = ', '.join(f'{key} {value:.4g}' for key, value in outcome['metrics'].items())
            print(f'{name}: {metrics}', flush=True)

    if waiting and args.cluster:
        run_in_cluster(waiting, args.cluster, args.jobs, args.cluster_options, report_cell)
    elif waiting:
        run_here(waiting, args.jobs, report_cell)

    if failed:
        others = '; the others are done' if len(failed) < len(cells) else ''
        raise UserError(f'{len(failed)} of {len(cells)} cells failed{others}')


def chosen_cells(folder: Path, text: str) -> list[Path]:
    """Return the folders of a plan's cells with ``text`` in their names, the first seeds first.

    Raises:
        UserError: there is no plan, or no such cell.
    """
    cells = sorted((path.parent for path in folder.glob('cells/*/config.py')), key=_seed_and_name)
    if not cells:
        raise UserError(f'there is no plan in {folder}: lkdense study plan STUDY --out {folder}')

    chosen = [cell for cell in cells if text in cell.name]
    if not chosen:
        raise UserError(f'--only: no cell of {folder} has {text!r} in its name')

    return chosen


def report_study(args: argparse.Namespace) -> None:
    studies = []

    for folder in args.folders:
        if folder.suffix == '.json':
            studies.append(json.loads(folder.read_text()))
            continue

        results = read_results(folder)
        (folder / 'results.json').write_text(json.dumps(results) + '\n')
        studies.append(results)

    first = args.folders[0]
    default = (first if first.is_dir() else first.parent) / 'report'
    print(write_report(studies, args.out or default))


def _seed_and_name(folder: Path) -> tuple[int, str]:
    cell = json.loads((folder / 'cell.json').read_text())
    return cell['seed'], folder.name
