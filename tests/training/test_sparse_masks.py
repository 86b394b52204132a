"""Masks: their densities, that the number of active weights never changes, and what moves where."""

import copy
import math

import pytest
import torch
from torch import nn

from lkdense import SLaK
from lkdense.training.sparse_masks import (
    SparseMasks,
    decayed,
    erdos_renyi_kernel,
    from_zeros,
    snip,
    sparse_parameters,
    uniform,
)


def net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3),
        nn.BatchNorm2d(16),
        nn.Conv2d(16, 16, 7, groups=16),
        nn.Flatten(),
        nn.Linear(16 * 4, 40),
    )


@pytest.fixture
def parameters():
    return sparse_parameters(net())


def counts(masks):
    return {name: int(mask.sum()) for name, mask in masks.masks.items()}


def test_layers_are_chosen_by_type_and_name():
    assert list(sparse_parameters(net())) == ['0.weight', '2.weight', '4.weight']
    assert list(sparse_parameters(net(), [nn.Linear])) == ['4.weight']
    large = sparse_parameters(SLaK('pico'), keep=lambda name, _: 'depthwise' in name)
    assert len(large) == 3 * 12
    with pytest.raises(ValueError, match='no layer of Sequential is chosen'):
        sparse_parameters(net(), [nn.Conv3d])


@pytest.mark.parametrize('rule', [uniform, erdos_renyi_kernel])
@pytest.mark.parametrize('density', [0.05, 0.4, 0.9, 1.0])
def test_densities_have_the_mean_that_is_wanted(parameters, rule, density):
    densities = rule(parameters, density)
    assert all(0 < value <= 1 for value in densities.values())

    total = sum(weight.numel() for weight in parameters.values())
    active = sum(densities[name] * weight.numel() for name, weight in parameters.items())
    assert active / total == pytest.approx(density)


def test_erdos_renyi_kernel_by_hand():
    weights = {'a': torch.zeros(10, 10, 1, 1), 'b': torch.zeros(100, 100, 1, 1)}
    densities = erdos_renyi_kernel(weights, 0.1)
    # The rule gives (10 + 10 + 1 + 1) / 100 to the one and (100 + 100 + 1 + 1) / 10000 to the other.
    assert densities['a'] / densities['b'] == pytest.approx(0.22 / 0.0202)


def test_snip_keeps_the_highest_scores_of_all_layers():
    scores = {'a': torch.tensor([9.0, 8.0, 0.1, 0.1]), 'b': torch.tensor([7.0, 0.1, 0.1, 0.1]), 'c': torch.zeros(2)}
    # Layer c keeps one weight, although none of its scores is among the highest.
    assert snip(scores, 0.3) == {'a': 0.5, 'b': 0.25, 'c': 0.5}


def test_snip_keeps_as_many_where_scores_are_equal():
    scores = {'a': torch.cat([torch.ones(10), torch.zeros(90)]), 'b': torch.zeros(100)}
    shares = snip(scores, 0.4)
    assert 100 * (shares['a'] + shares['b']) == pytest.approx(80)
    assert shares['a'] >= 0.1


@pytest.mark.parametrize('value', [0, torch.nan, torch.inf])
def test_snip_refuses_scores_that_say_nothing(value):
    with pytest.raises(ValueError, match='finite and not all zero'):
        snip({'a': torch.full((4,), value)}, 0.5)


@pytest.mark.parametrize('density', [0, 1.6, -1, None])
def test_a_density_out_of_range_is_refused(parameters, density):
    with pytest.raises(ValueError, match=r'density must be in \(0, 1\], got'):
        uniform(parameters, density)


def test_zeros_of_a_checkpoint_become_masks(parameters):
    weight = parameters['4.weight']
    weight.data[weight.data < 0] = 0
    assert from_zeros(parameters)['4.weight'] == pytest.approx(0.5, abs=0.05)
    masks = SparseMasks(parameters)
    assert torch.equal(masks.masks['4.weight'], weight != 0)
    weight.data.normal_()
    masks.apply()
    assert weight.count_nonzero() == masks.masks['4.weight'].sum()


def test_the_pruning_rate_decays_by_half_a_cosine():
    assert [decayed(0.5, progress) for progress in (0, 0.5, 1, 2)] == pytest.approx([0.5, 0.25, 0, 0])
    assert decayed(0.5, 0.25) == pytest.approx(0.25 * (1 + math.sqrt(0.5)))


@pytest.mark.parametrize('growth', ['random', 'gradient', 'momentum'])
def test_moving_keeps_the_number_of_active_weights_of_every_layer(parameters, growth):
    masks = SparseMasks(parameters, uniform(parameters, 0.4))
    masks.apply()
    before = counts(masks)

    for rate in (0.5, 0.3, 0.01, 0.9):
        scores = {name: torch.randn_like(weight) for name, weight in parameters.items()}
        masks.move(rate, growth, scores)
        assert counts(masks) == before

        wanted = 0
        for name, active in before.items():
            wanted += min(round(rate * active), masks.masks[name].numel() - active)
        assert masks.pruned == masks.regrown == wanted

        for name, weight in parameters.items():
            assert not weight[~masks.masks[name]].any()
            weight.data[masks.masks[name]] += 1

    assert masks.explored > masks.density == pytest.approx(0.4, abs=0.01)


def test_the_smallest_go_and_those_of_the_largest_gradient_come():
    weight = nn.Parameter(torch.tensor([[5.0, -1.0, 3.0, 0.0, 0.0, 0.0]]))
    masks = SparseMasks({'w': weight})
    masks.move(1 / 3, 'gradient', {'w': torch.tensor([[9.0, 9.0, 9.0, 0.1, -7.0, 0.2]])})
    assert masks.masks['w'].tolist() == [[True, False, True, False, True, False]]
    assert weight.tolist() == [[5.0, 0.0, 3.0, 0.0, 0.0, 0.0]]


def test_a_regrown_weight_begins_with_an_empty_state():
    weight = nn.Parameter(torch.tensor([5.0, -1.0, 3.0, 0.0]).repeat(1, 1))
    optimizer = torch.optim.AdamW([weight])
    weight.grad = torch.ones_like(weight)
    masks = SparseMasks({'w': weight})
    optimizer.step()
    masks.apply()
    masks.move(1 / 3, optimizer=optimizer)
    state = optimizer.state[weight]

    for name in ('exp_avg', 'exp_avg_sq'):
        assert state[name].bool().tolist() == [[True, False, True, False]]

    assert weight.tolist()[0][3] == 0
    assert state['step'] == 1


def test_a_dense_layer_has_nothing_to_move(parameters):
    masks = SparseMasks(parameters, uniform(parameters, 1.0))
    masks.move(0.5)
    assert masks.pruned == masks.regrown == 0
    assert masks.density == 1


def test_the_state_continues_bit_by_bit(parameters):
    masks = SparseMasks(parameters, uniform(parameters, 0.4), seed=3)
    masks.move(0.5)
    again = SparseMasks(parameters)
    again.load_state_dict(masks.state_dict())

    for each in (masks, again):
        torch.manual_seed(1)
        each.move(0.5)
    torch.testing.assert_close(masks.state_dict(), again.state_dict(), rtol=0, atol=0)


def test_a_state_does_not_move_along(parameters):
    masks = SparseMasks(parameters, uniform(parameters, 0.4))
    state = masks.state_dict()
    before = copy.deepcopy(state)
    again = SparseMasks(parameters)
    again.load_state_dict(state)
    masks.move(0.5)
    again.move(0.5)
    torch.testing.assert_close(state, before, rtol=0, atol=0)


def test_masks_of_other_layers_are_refused(parameters):
    masks = SparseMasks(parameters)
    other = SparseMasks(sparse_parameters(nn.Sequential(nn.Linear(3, 4))))
    with pytest.raises(ValueError, match='masks of the checkpoint are of other layers'):
        masks.load_state_dict(other.state_dict())


def test_channels_last_weights_work(parameters):
    weight = nn.Parameter(torch.randn(16, 8, 3, 3).contiguous(memory_format=torch.channels_last))
    masks = SparseMasks({'w': weight}, {'w': 0.3})
    masks.apply()
    masks.move(0.5)
    assert weight.count_nonzero() <= masks.masks['w'].sum() == round(0.3 * weight.numel())
    assert not weight[~masks.masks['w']].any()


def test_unknown_growth_is_refused(parameters):
    with pytest.raises(ValueError, match='growth must be one of random, gradient, momentum'):
        SparseMasks(parameters).move(0.1, 'magic')
    with pytest.raises(ValueError, match='growth by gradient needs scores'):
        SparseMasks(parameters).move(0.1, 'gradient')
