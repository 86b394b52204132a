"""tools/sparsity.py reads the density of a checkpoint."""

import re
import subprocess
import sys
from pathlib import Path

import torch

from lkdense import SLaK
from lkdense.training.sparse_masks import SparseMasks, sparse_parameters, uniform

ROOT = Path(__file__).parents[2]


def run(*args) -> subprocess.CompletedProcess:
    command = [sys.executable, ROOT / 'tools/sparsity.py', *args]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)


def test_densities_parameters_and_multiply_adds(tmp_path):
    backbone = SLaK('pico')
    layers = sparse_parameters(backbone, keep=lambda name, _: name.startswith('stages'))
    SparseMasks(layers, uniform(layers, 0.25)).apply()
    weights = {f'backbone.{key}': value for key, value in backbone.state_dict().items()}
    torch.save(dict(state_dict={**weights, 'decode_head.conv_seg.weight': torch.zeros(2, 8, 1, 1)}), tmp_path / 'a.pth')
    done = run(tmp_path / 'a.pth', '--shape', 64, 64)
    assert done.returncode == 0, done.stderr
    assert re.search(r'stages\.2 mlp\.0 .* weights, +25\.0% not zero', done.stdout)
    assert re.search(r'stem .* weights, +100\.0% not zero', done.stdout)
    parameters, left = map(
        float, re.search(r'not zero [\d,]+ \((\d+\.\d)%\)\nmultiply.*\((\d+\.\d)%\)', done.stdout).groups()
    )
    assert 25 < parameters < 45 and 25 < left < 45
    assert len(run(tmp_path / 'a.pth', '--all').stdout.splitlines()) > len(done.stdout.splitlines()) + 20


def test_a_foreign_checkpoint_is_refused(tmp_path):
    torch.save({'a.weight': torch.ones(2, 2)}, tmp_path / 'a.pth')
    done = run(tmp_path / 'a.pth')
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith('sparsity.py: ')
