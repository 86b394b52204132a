"""Train dense and sparse models of as many weights on CamVid, with several seeds each, and compare them.

Example: python benchmarks/sparse_training.py --seeds 0 1 2 --out benchmarks/results
Each run is `lkdense train` and `lkdense test` with a config of configs/examples. Runs that the JSON already has are not
repeated.
"""

import argparse
import json
import math
import re
import statistics
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

import torch
from depthwise import describe

ROOT = Path(__file__).resolve().parents[1]
VARIANTS = ('dense', 'sparse')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--out', type=Path, default=Path('benchmarks/results'), help='folder of the JSON')
    args = parser.parse_args()

    path = args.out / 'sparse_training.json'
    path.parent.mkdir(parents=True, exist_ok=True)
    runs = json.loads(path.read_text())['runs'] if path.exists() else []
    done = {(run['variant'], run['seed']) for run in runs}

    for seed, variant in product(args.seeds, VARIANTS):
        if (variant, seed) not in done:
            runs.append(measure(variant, seed))
            print(runs[-1], flush=True)
            path.write_text(json.dumps(dict(describe(torch.device('cpu')), runs=runs), indent=1) + '\n')

    report(runs)


def measure(variant: str, seed: int) -> dict:
    config = f'configs/examples/upernet_slak_pico_{variant}_camvid.py'
    work_dir = ROOT / f'work_dirs/sparse_training/{variant}_{seed}'
    checkpoint = work_dir / 'iter_400.pth'

    start = time.perf_counter()
    run_lkdense('train', config, '--work-dir', work_dir, '--seed', seed)
    seconds = time.perf_counter() - start

    output = run_lkdense('test', config, checkpoint, '--work-dir', work_dir / 'test')
    accuracy = float(re.search(r'mIoU (\d+\.\d+) %', output.splitlines()[-1])[1])

    output = run_lkdense('sparsity', checkpoint)
    counts = re.search(r'parameters ([\d,]+), not zero ([\d,]+)', output).groups()
    parameters, nonzero = (int(count.replace(',', '')) for count in counts)
    return dict(
        variant=variant, seed=seed, miou=accuracy, seconds=round(seconds), parameters=parameters, nonzero=nonzero
    )


def run_lkdense(*words: object) -> str:
    """Return what a command prints.

    Raises:
        SystemExit: the command failed; with the end of its error output.
    """
    command = [sys.executable, '-m', 'lkdense', *map(str, words)]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if process.returncode:
        raise SystemExit(f'lkdense {" ".join(map(str, words))} failed:\n{process.stderr[-2000:]}')
    return process.stdout


def report(runs: list[dict]) -> None:
    for variant in VARIANTS:
        values = [run['miou'] for run in runs if run['variant'] == variant]
        spread = statistics.stdev(values) if len(values) > 1 else math.nan
        print(f'{variant:8} mIoU {statistics.mean(values):.2f} +- {spread:.2f} over {len(values)} seeds: {values}')


if __name__ == '__main__':
    main()
