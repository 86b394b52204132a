"""Try `lkdense swap` on every config that comes with mmsegmentation and mmdetection, and write a report.

Example: python dev/swap_report.py
It writes OUT.csv, with a row for each config, and OUT.md, a page about them. After an interruption it goes on where it
stopped.
"""

import argparse
import csv
import os
import sys
import time
import warnings
from pathlib import Path

from lkdense.commands import exit_on_user_error
from lkdense.config import register_all_of, without_onedl_notice
from lkdense.swap.survey import Row, read_rows, render_page, shipped_configs, survey_package

PACKAGES = ('mmseg', 'mmdet')


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--out',
        metavar='PATH',
        default='docs/evidence/swap_report',
        help='path of the two files, without .csv and .md (default: docs/evidence/swap_report)',
    )
    parser.add_argument('--backbone', default='slak_pico', help='the backbone to put in (default: slak_pico)')
    parser.add_argument('--again', action='store_true', help='start afresh instead of going on')
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    # The paths must be absolute, because the current folder changes below.
    table, page = Path(f'{args.out}.csv').resolve(), Path(f'{args.out}.md').resolve()
    if args.again:
        table.unlink(missing_ok=True)

    rows = read_rows(table)
    warnings.simplefilter('ignore')
    for package in PACKAGES:
        with without_onedl_notice():
            register_all_of(package)

    with table.open('a', newline='') as file:
        writer = csv.writer(file, lineterminator='\n')
        if not rows:
            writer.writerow(Row._fields)

        for package in PACKAGES:
            # Some configs name others by a path that starts in this folder.
            os.chdir(shipped_configs(package)[0].parent)
            started = time.process_time()
            for row in survey_package(package, args.backbone, rows):
                writer.writerow(row)
                file.flush()
                rows.append(row)
                print(f'{time.process_time() - started:7.1f} s  {row.config}: {row.outcome}', file=sys.stderr)

    page.write_text(render_page(rows, args.backbone))
    print(f'{table}\n{page}')


if __name__ == '__main__':
    exit_on_user_error(main, 'swap_report.py')
