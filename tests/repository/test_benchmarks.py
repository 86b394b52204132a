"""The benchmark of the depthwise convolution, on tiny shapes: what runs on a GPU, in Triton's interpreter."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_dry_run_compares_all_that_runs_on_a_gpu(tmp_path):
    pytest.importorskip('triton')
    command = [sys.executable, 'benchmarks/depthwise.py', '--dry-run', '--out', str(tmp_path)]
    # The benchmark fails where a result is wrong.
    subprocess.run(command, cwd=ROOT, env={**os.environ, 'TRITON_INTERPRET': '1'}, check=True, capture_output=True)
    report = json.loads((tmp_path / 'depthwise_dry_run.json').read_text())
    assert {row['backend'] for row in report['rows']} == {'triton', 'fma', 'fft', 'cpu', 'eager'}
    assert {row['dtype'] for row in report['rows']} == set(report['limits'])
    assert (tmp_path / 'depthwise_dry_run.png').exists()
