"""Fixtures that all tests share."""

import os
import shutil
from pathlib import Path

# Several threads share badly: one busy neighbour makes them many times slower than one thread is alone. The variable
# reaches the processes that tests start; it is read when PyTorch is imported.
os.environ['OMP_NUM_THREADS'] = '1'

import pytest
import torch

torch.set_num_threads(1)

if not torch.cuda.is_available():
    # Triton reads this when it is imported: its kernels then run in NumPy, slowly but by the same arithmetic.
    os.environ.setdefault('TRITON_INTERPRET', '1')


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(
    params=['cpu', pytest.param('cuda', marks=pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU'))]
)
def device(request):
    return torch.device(request.param)


@pytest.fixture(scope='session')
def real_data():
    """The folder of small real data sets."""
    if 'LKDENSE_DATA' not in os.environ:
        pytest.skip('LKDENSE_DATA does not name a folder of real images')
    return Path(os.environ['LKDENSE_DATA'])


@pytest.fixture(scope='session')
def chromium():
    """The path of a Chromium or Chrome, for pages that are looked at as a user would."""
    names = 'chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip('there is no Chromium on PATH; on Debian: apt-get install chromium')
    return path


@pytest.fixture
def randomize_norms():
    """Give every batch norm of a module statistics and scales that a merge cannot ignore."""

    def randomize(module):
        for norm in module.modules():
            if isinstance(norm, torch.nn.modules.batchnorm._BatchNorm):
                norm.running_mean.normal_()
                norm.running_var.uniform_(0.5, 2)
                torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
                torch.nn.init.normal_(norm.bias)
        return module

    return randomize
