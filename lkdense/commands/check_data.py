"""Read all the data of a config and report what is wrong with it, and how often each class occurs.

Example: lkdense check-data configs/examples/upernet_slak_pico_camvid.py
It reports missing and unreadable files, sizes that differ, labels without a class, boxes that are empty or leave their
image, images without labels, duplicates, training images in validation or test, and samples on which transforms fail.
"""

import argparse

from ..config import without_onedl_notice
from ..data.check import check_data
from ._options import add_config_options, load_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_options(parser)
    parser.add_argument('--cases', type=int, default=3, help='how many cases of each fault to show (default: 3)')


def main(args: argparse.Namespace) -> None:
    with without_onedl_notice():
        reports = check_data(load_config(args))

    for report in reports:
        print('\n'.join(report.lines(args.cases)))

    if any(report.faults for report in reports):
        raise SystemExit(1)
