"""Train dense and sparse models of as many weights on CamVid, with several seeds each, and compare them.

Example: python benchmarks/sparse_training.py --seeds 0 1 2 --out benchmarks/results
Each run is `tools/train.py` and `tools/test.py` with a config of configs/examples; what is done is not done again.
"""

import argparse
import json
import math
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from depthwise import about

ROOT = Path(__file__).resolve().parents[1]
VARIANTS = ('dense', 'sparse')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--out', type=Path, default=Path('benchmarks/results'), help='folder of the JSON')
    args = parser.parse_args()
    path = args.out / 'sparse_training.json'
    done = json.loads(path.read_text())['runs'] if path.exists() else []
    args.out.mkdir(parents=True, exist_ok=True)
    for seed in args.seeds:
        for variant in VARIANTS:
            if not any(run['variant'] == variant and run['seed'] == seed for run in done):
                done.append(measure(variant, seed))
                print(done[-1], flush=True)
                path.write_text(json.dumps(dict(about(torch.device('cpu')), runs=done), indent=1) + '\n')
    report(done)


def measure(variant: str, seed: int) -> dict:
    config = f'configs/examples/upernet_slak_pico_{variant}_camvid.py'
    work_dir = ROOT / f'work_dirs/sparse_training/{variant}_{seed}'
    started = time.perf_counter()
    call('tools/train.py', config, '--work-dir', work_dir, '--seed', seed)
    seconds = time.perf_counter() - started
    printed = call('tools/test.py', config, work_dir / 'iter_400.pth', '--work-dir', work_dir / 'test')
    accuracy = float(re.search(r'mIoU (\d+\.\d+) %', printed.splitlines()[-1])[1])
    nonzero = call('-m', 'lkdense', 'sparsity', work_dir / 'iter_400.pth')
    parameters, active = re.search(r'parameters ([\d,]+), not zero ([\d,]+)', nonzero).groups()
    numbers = {name: int(text.replace(',', '')) for name, text in (('parameters', parameters), ('nonzero', active))}
    return dict(variant=variant, seed=seed, miou=accuracy, seconds=round(seconds), **numbers)


def call(*words: object) -> str:
    done = subprocess.run([sys.executable, *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f'{" ".join(map(str, words))} failed:\n{done.stderr[-2000:]}')
    return done.stdout


def report(runs: list[dict]) -> None:
    for variant in VARIANTS:
        found = [run['miou'] for run in runs if run['variant'] == variant]
        spread = statistics.stdev(found) if len(found) > 1 else math.nan
        print(f'{variant:8} mIoU {statistics.mean(found):.2f} +- {spread:.2f} over {len(found)} seeds: {found}')


if __name__ == '__main__':
    main()
