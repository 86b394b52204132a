"""Study how the size of kernels matters: a grid of trainings in which nothing but the kernel differs.

Example: lkdense study plan reach --out work_dirs/reach
         lkdense study run work_dirs/reach --jobs 2
         lkdense study report work_dirs/reach
`plan` makes the data and one config for each cell, `run` trains those that are not done yet and goes on where it was
stopped, `report` writes a page with curves, gains, costs and a verdict.
"""

import argparse
import json
from pathlib import Path

from mmengine.config import DictAction

from ..errors import UserError
from ..study import read_results, read_study, run_here, run_in_cluster, write_plan, write_report
from ..study.cell import is_done


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar='{plan,run,report}')
    plan = verbs.add_parser('plan', help='make the data and the config of every cell')
    plan.add_argument('study', metavar='STUDY', type=Path, help='what to vary: a path, or a name of configs/studies')
    plan.add_argument('--out', metavar='DIR', type=Path, required=True, help='folder of everything the study writes')
    plan.set_defaults(step=plan_study)
    run = verbs.add_parser('run', help='train the cells that are not done')
    run.add_argument('folder', metavar='DIR', type=Path, help="the plan's")
    run.add_argument('--jobs', type=int, default=1, help='cells at a time, which share the cores evenly (default: 1)')
    run.add_argument('--only', metavar='TEXT', default='', help='only cells whose name has this in it')
    run.add_argument('--cluster', choices=['slurm', 'local'], help='submit to a cluster through submitit')
    run.add_argument(
        '--cluster-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE', help="submitit's parameters"
    )
    run.set_defaults(step=run_study)
    report = verbs.add_parser('report', help='write results.json, the page and its pictures')
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
    folders = sorted((path.parent for path in args.folder.glob('cells/*/config.py')), key=_first_seeds_first)
    if not folders:
        raise UserError(f'there is no plan in {args.folder}: lkdense study plan STUDY --out {args.folder}')
    if args.jobs < 1:
        raise UserError(f'--jobs must be at least 1, got {args.jobs}')
    folders = [folder for folder in folders if args.only in folder.name]
    if not folders:
        raise UserError(f'--only: no cell of {args.folder} has {args.only!r} in its name')
    waiting = [folder for folder in folders if not is_done(folder)]
    print(f'{len(folders)} cells, {len(folders) - len(waiting)} of them done')
    failed = []

    def tell(name: str, outcome: dict | Exception) -> None:
        if isinstance(outcome, Exception):
            failed.append(name)
            print(f'{name} failed: {outcome}', flush=True)
        else:
            metrics = ', '.join(f'{key} {value:.4g}' for key, value in outcome['metrics'].items())
            print(f'{name}: {metrics}', flush=True)

    if waiting and args.cluster:
        run_in_cluster(waiting, args.cluster, args.jobs, args.cluster_options, tell)
    elif waiting:
        run_here(waiting, args.jobs, tell)
    if failed:
        others = '; the others are done' if len(failed) < len(folders) else ''
        raise UserError(f'{len(failed)} of {len(folders)} cells failed{others}')


def report_study(args: argparse.Namespace) -> None:
    studies = []
    for folder in args.folders:
        if folder.suffix == '.json':
            studies.append(json.loads(folder.read_text()))
            continue
        studies.append(read_results(folder))
        (folder / 'results.json').write_text(json.dumps(studies[-1]) + '\n')
    out = args.out or (args.folders[0] if args.folders[0].is_dir() else args.folders[0].parent) / 'report'
    print(write_report(studies, out))


def _first_seeds_first(folder: Path) -> tuple[int, str]:
    cell = json.loads((folder / 'cell.json').read_text())
    return cell['seed'], folder.name
