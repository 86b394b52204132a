"""Names of entries: wrappers come off, names are translated, and what does not fit is listed."""

import pytest
import torch

from lkdense.checkpoints.keys import backbone_weights, misfits, rename, unwrap, with_norms

ONE, TWO = torch.ones(1), torch.ones(2)


@pytest.mark.parametrize(
    'checkpoint',
    [
        {'a': ONE},
        {'module.a': ONE},
        {'state_dict': {'a': ONE}, 'meta': {}},
        {'model': {'module.a': ONE}, 'epoch': 300},
        {'state_dict': {'model': {'a': ONE}}},
        {'model_ema': {'a': ONE}, 'optimizer': {}},
    ],
)
def test_the_wrapper_comes_off(checkpoint):
    assert unwrap(checkpoint) == {'a': ONE}


def test_the_trained_weights_come_before_their_average_as_in_the_authors_loaders():
    assert unwrap({'model_ema': {'a': ONE}, 'model': {'a': TWO}})['a'] is TWO
    assert unwrap({'model': {'a': ONE}, 'state_dict': {'a': TWO}})['a'] is TWO


def test_names_are_translated_one_pattern_after_the_other():
    key_map = ((r'^downsample_layers\.0\.', 'stem.'), (r'^stem\.0\.', 'stem.conv.'))
    assert list(rename({'downsample_layers.0.0.weight': ONE, 'norm.weight': ONE}, key_map)) == [
        'stem.conv.weight',
        'norm.weight',
    ]


@pytest.mark.parametrize(
    ('weights', 'prefix', 'expected'),
    [
        ({'stem.a': ONE, 'head.weight': ONE, 'norm.weight': ONE}, '', ['stem.a']),
        ({'backbone.stem.a': ONE, 'decode_head.b': ONE}, '', ['stem.a']),
        ({'backbone.stem.a': ONE, 'decode_head.b': ONE}, 'backbone.', ['stem.a']),
        ({'student.backbone.stem.a': ONE, 'backbone.stem.b': ONE}, 'student.backbone.', ['stem.a']),
    ],
)
def test_the_backbone_s_part_is_taken_without_its_classifier(weights, prefix, expected):
    assert list(backbone_weights(weights, prefix, ())) == expected


def test_the_bias_of_a_merged_convolution_becomes_a_norm_that_adds_it():
    convolution = torch.nn.Conv2d(3, 2, 3)
    weights = with_norms({'stem.conv.weight': convolution.weight, 'stem.conv.bias': convolution.bias})
    norm = torch.nn.BatchNorm2d(2).eval()
    norm.load_state_dict(
        {name: weights[f'stem.norm.{name}'] for name in norm.state_dict() if 'batches' not in name}, False
    )

    image = torch.randn(1, 3, 8, 8)
    without_bias = torch.nn.functional.conv2d(image, weights['stem.conv.weight'])
    assert 'stem.conv.bias' not in weights
    torch.testing.assert_close(norm(without_bias), convolution(image))


def test_misfits_are_listed_shapes_first():
    weights = {'a': ONE, 'b': ONE, 'foreign': ONE, 'norm3.weight': ONE}
    expected = {'a': ONE, 'b': TWO, 'missing': ONE, 'norm0.weight': ONE, 'stem.num_batches_tracked': ONE}
    assert misfits(weights, expected) == [
        'b is (1,) in the checkpoint and (2,) in the model',
        'missing is missing from the checkpoint',
        'foreign of the checkpoint has no place in the model',
    ]
    assert misfits({'a': ONE}, {'a': ONE}) == []
