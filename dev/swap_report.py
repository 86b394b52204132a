"""Try `lkdense swap` on every config that comes with mmsegmentation and mmdetection, and write what came out.

Example: python dev/swap_report.py
Written are OUT.csv, a row for each config, and OUT.md, a page about them. A run that was interrupted goes on.
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
from lkdense.swap.survey import Row, page, read_rows, shipped, survey

PACKAGES = ('mmseg', 'mmdet')


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--out',
        metavar='PATH',
        default='docs/evidence/swap_report',
        help='without ending (default: docs/evidence/swap_report)',
    )
    parser.add_argument('--backbone', default='slak_pico', help='the one that is put in (default: slak_pico)')
    parser.add_argument('--again', action='store_true', help='begin anew instead of going on')
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    table, text = (Path(f'{args.out}.{ending}').resolve() for ending in ('csv', 'md'))
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
            # Some configs name others by their path from this folder.
            os.chdir(shipped(package)[0].parent)
            started = time.process_time()
            for row in survey(package, args.backbone, rows):
                writer.writerow(row)
                file.flush()
                rows.append(row)
                print(f'{time.process_time() - started:7.1f} s  {row.config}: {row.outcome}', file=sys.stderr)

    text.write_text(page(rows, args.backbone))
    print(f'{table}\n{text}')


if __name__ == '__main__':
    exit_on_user_error(main, 'swap_report.py')
