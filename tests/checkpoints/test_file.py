"""Checkpoints are read without running what they contain; what is damaged or holds more than tensors is named."""

import argparse
import collections

import numpy as np
import pytest
import torch

from lkdense.checkpoints.file import CheckpointError, objects_in, read, tensors_only, trust_checkpoints, write

WEIGHTS = {'a': torch.arange(6.0).reshape(2, 3), 'b': torch.ones(4)}


def test_plain_values_that_authors_keep_are_read(save):
    options = argparse.Namespace(model='SLaK_tiny', lr=4e-3)
    plain = dict(
        args=options, best=np.float64(0.5), classes=np.arange(3), epoch=299, order=collections.OrderedDict(a=1)
    )
    checkpoint = read(save(dict(model=WEIGHTS, **plain)))
    torch.testing.assert_close(checkpoint['model'], WEIGHTS)
    assert checkpoint['args'] == options
    assert checkpoint['best'] == 0.5 and checkpoint['classes'].tolist() == [0, 1, 2]


def test_other_objects_are_named_and_not_made(save, hostile, tmp_path):
    path = save(dict(model=WEIGHTS, extra=hostile))
    with pytest.raises(CheckpointError, match=r'more than tensors.*posix\.mkdir.*--trust-checkpoint'):
        read(path)
    assert 'posix.mkdir' in objects_in(path)
    assert not (tmp_path / 'made').exists()


def test_other_objects_are_made_for_who_trusts_them(save, hostile, tmp_path, monkeypatch):
    # Set here, the variable is taken back after the test.
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '0')
    path = save(dict(model=WEIGHTS, extra=hostile))
    trust_checkpoints()
    torch.testing.assert_close(read(path)['model'], WEIGHTS)
    assert (tmp_path / 'made').exists()


def test_others_inside_cannot_unpickle_either(save, hostile, tmp_path):
    path = save(dict(model=WEIGHTS, extra=hostile))
    with tensors_only(), pytest.raises(Exception, match='Weights only load failed'):
        torch.load(path, weights_only=False)
    assert not (tmp_path / 'made').exists()


@pytest.mark.parametrize('keep', [0, 10, 300, -30])
def test_a_truncated_file_is_refused(save, keep):
    path = save({'model': {'a': torch.rand(1000)}})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r'file\.pth is not a checkpoint, or is damaged'):
        read(path)


def test_changed_weights_are_noticed(tmp_path):
    path = tmp_path / 'file.pth'
    torch.save({'model': {'a': torch.zeros(10_000)}}, path)
    content = bytearray(path.read_bytes())
    content[20_000] ^= 255
    path.write_bytes(content)
    assert torch.load(path)['model']['a'].count_nonzero()  # PyTorch does not notice
    with pytest.raises(CheckpointError, match=r'damaged.*checksum'):
        read(path)


@pytest.mark.parametrize('content', [b'', b'not a checkpoint', b'PK\x03\x04 nor is this'])
def test_what_is_no_checkpoint_is_refused(tmp_path, content):
    (tmp_path / 'file.pth').write_bytes(content)
    with pytest.raises(CheckpointError, match='is not a checkpoint'):
        read(tmp_path / 'file.pth')


def test_what_is_no_dict_is_refused(save):
    with pytest.raises(CheckpointError, match='holds a list, not a dict'):
        read(save([1, 2]))


@pytest.mark.parametrize('name', ['no.pth', 'no.safetensors'])
def test_what_is_not_there_is_refused(tmp_path, name):
    with pytest.raises(CheckpointError, match='there is no checkpoint'):
        read(tmp_path / name)


@pytest.mark.parametrize('name', ['a/new/file.pth', 'file.safetensors'])
def test_what_is_written_is_read(tmp_path, name):
    weights = dict(WEIGHTS, turned=torch.rand(3, 4).T, half=torch.rand(3).bfloat16())
    write(weights, tmp_path / name)
    found = read(tmp_path / name)
    torch.testing.assert_close(found, weights)
    assert [path.name for path in (tmp_path / name).parent.iterdir() if path.is_file()] == [(tmp_path / name).name]


def test_an_interrupted_write_keeps_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / 'file.pth'
    write(WEIGHTS, path)

    def interrupted(checkpoint, file):
        file.write_bytes(b'half')
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, 'save', interrupted)
    with pytest.raises(KeyboardInterrupt):
        write({}, path)
    torch.testing.assert_close(read(path), WEIGHTS)


def test_safetensors_hold_nothing_but_tensors(tmp_path):
    with pytest.raises(ValueError, match='holds tensors only, got meta'):
        write(dict(WEIGHTS, meta={}), tmp_path / 'file.safetensors')


def test_a_damaged_safetensors_file_is_refused(tmp_path):
    path = tmp_path / 'file.safetensors'
    write(WEIGHTS, path)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(CheckpointError, match='damaged'):
        read(path)
