"""``lkdense sparsity`` reads the density of a checkpoint."""

import re

import pytest
import torch

from lkdense import SLaK
from lkdense.commands import main
from lkdense.training.sparse_masks import SparseMasks, sparse_parameters, uniform


def test_densities_parameters_and_multiply_adds(tmp_path, capsys):
    backbone = SLaK('pico')
    layers = sparse_parameters(backbone, keep=lambda name, _: name.startswith('stages'))
    SparseMasks(layers, uniform(layers, 0.25)).apply()
    weights = {f'backbone.{key}': value for key, value in backbone.state_dict().items()}
    weights['decode_head.conv_seg.weight'] = torch.zeros(2, 8, 1, 1)
    torch.save(dict(state_dict=weights), tmp_path / 'sparse.pth')

    main(['sparsity', str(tmp_path / 'sparse.pth'), '--shape', '64', '64'])
    printed = capsys.readouterr().out
    assert re.search(r'stages\.2 mlp\.0 .* weights, +25\.0% not zero', printed)
    assert re.search(r'stem .* weights, +100\.0% not zero', printed)
    shares = re.search(r'not zero [\d,]+ \((\d+\.\d)%\)\nmultiply.*\((\d+\.\d)%\)', printed).groups()
    assert all(25 < float(share) < 45 for share in shares)

    main(['sparsity', str(tmp_path / 'sparse.pth'), '--all'])
    assert len(capsys.readouterr().out.splitlines()) > len(printed.splitlines()) + 20


def test_a_foreign_checkpoint_is_refused(tmp_path):
    torch.save({'a.weight': torch.ones(2, 2)}, tmp_path / 'a.pth')
    with pytest.raises(SystemExit, match=r'lkdense sparsity: .*a\.pth is not a checkpoint of '):
        main(['sparsity', str(tmp_path / 'a.pth')])
