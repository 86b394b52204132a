"""Files that tests of checkpoints share."""

import os

import pytest
import torch


@pytest.fixture(params=[True, False], ids=['zip', 'legacy'])
def save(request, tmp_path):
    """Write a checkpoint in one of PyTorch's two formats; returns its path."""

    def save(checkpoint, name='file.pth'):
        torch.save(checkpoint, tmp_path / name, _use_new_zipfile_serialization=request.param)
        return tmp_path / name

    return save


class MakeFolder:
    """Unpickling this makes a folder, as it could do anything else."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.fixture
def hostile(tmp_path):
    """An object that makes the folder ``made`` when it is unpickled."""
    return MakeFolder(tmp_path / 'made')
