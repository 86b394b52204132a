"""MMEngine reads our checkpoints: safetensors wherever it takes a path, its own log, and nothing that runs."""

import collections

import pytest
import torch

pytest.importorskip('mmengine')

from mmengine.logging import HistoryBuffer
from mmengine.runner import load_checkpoint

from lkdense import ConvNeXt
from lkdense.checkpoints.file import CheckpointError, read, write

ARCH = dict(depths=(1, 1, 1, 1), dims=(8, 8, 8, 8))
WEIGHTS = {'a': torch.arange(6.0).reshape(2, 3), 'b': torch.ones(4)}


def test_init_cfg_of_a_backbone_does_not_unpickle(save, hostile, tmp_path):
    path = save(dict(ConvNeXt(ARCH).state_dict(), extra=hostile))
    backbone = ConvNeXt(ARCH, init_cfg=dict(type='Pretrained', checkpoint=str(path)))
    with pytest.raises(Exception, match='Weights only load failed'):
        backbone.init_weights()
    assert not (tmp_path / 'made').exists()


def test_safetensors_are_read_wherever_mmengine_loads(tmp_path):
    path = tmp_path / 'file.safetensors'
    expected = ConvNeXt(ARCH).state_dict()
    write(expected, path)

    by_call = ConvNeXt(ARCH)
    load_checkpoint(by_call, str(path), map_location='cpu')
    by_config = ConvNeXt(ARCH, init_cfg=dict(type='Pretrained', checkpoint=str(path)))
    by_config.init_weights()

    for backbone in (by_call, by_config):
        torch.testing.assert_close(dict(backbone.state_dict()), dict(expected))


def test_what_mmengine_logs_is_plain_and_getattr_is_not(save):
    class Lookup:
        def __reduce__(self):
            return getattr, (collections.OrderedDict, 'fromkeys')

    history = HistoryBuffer([1.0, 3.0], [1, 1])
    checkpoint = read(save(dict(state_dict=WEIGHTS, message_hub=dict(log_scalars=dict(loss=history)))))
    assert checkpoint['message_hub']['log_scalars']['loss'].mean() == 2

    with pytest.raises(CheckpointError):
        read(save(dict(state_dict=WEIGHTS, extra=Lookup())))
