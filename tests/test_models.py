"""Whole models for the tools: merged they give the same scores; half a checkpoint is refused."""

import pytest
import torch

from lkdense.checkpoints.file import CheckpointError
from lkdense.config import read_config
from lkdense.models import load_model

SEG = 'upernet_slak_pico_ade20k'
# Narrow heads make the models small.
NARROW = {'model.decode_head.channels': 8, 'model.auxiliary_head.channels': 8}


def config(name=SEG):
    return read_config(name, NARROW)


@pytest.fixture(scope='module')
def weights():
    return load_model(config()).state_dict()


def test_random_weights_are_the_same_each_time(weights):
    torch.testing.assert_close(load_model(config()).state_dict(), weights)


@pytest.mark.parametrize('name', ['upernet_slak_pico_ade20k', 'upernet_replknet_pico_ade20k'])
def test_a_merged_segmentor_gives_the_same_scores(name, randomize_norms):
    model = randomize_norms(load_model(config(name))).eval()
    image = torch.randn(2, 3, 128, 160)
    with torch.no_grad():
        before = model(image, mode='tensor')
        model.backbone.switch_to_deploy()
        after = model(image, mode='tensor')

    assert (after - before).abs().max() <= 1e-4 * before.abs().max()


def test_a_whole_checkpoint_gives_all_weights(weights, tmp_path):
    changed = {key: value + 1 for key, value in weights.items()}
    torch.save(dict(state_dict=changed), tmp_path / 'whole.pth')
    torch.testing.assert_close(load_model(config(), tmp_path / 'whole.pth').state_dict(), changed)


@pytest.mark.parametrize('prefix', ['', 'backbone.'])
def test_a_backbone_alone_leaves_the_heads_as_they_are(weights, tmp_path, prefix):
    own = {key: value + 1 for key, value in weights.items() if key.startswith('backbone.')}
    torch.save({prefix + key.removeprefix('backbone.'): value for key, value in own.items()}, tmp_path / 'bare.pth')
    torch.testing.assert_close(load_model(config(), tmp_path / 'bare.pth').state_dict(), {**weights, **own})


def test_a_checkpoint_with_half_of_the_heads_is_refused(weights, tmp_path):
    half = {key: value for key, value in weights.items() if not key.startswith('decode_head.conv_seg')}
    torch.save(half, tmp_path / 'half.pth')
    with pytest.raises(CheckpointError, match=r'decode_head\.conv_seg\.weight is missing'):
        load_model(config(), tmp_path / 'half.pth')
