"""Multiply-adds and parameters of layers that one can count by hand, on every backend; sparse ones; whole models."""

import subprocess
import sys
from pathlib import Path

import mmdet
import pytest
import torch
from mmcv.ops import DeformConv2dPack, ModulatedDeformConv2dPack
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lkdense import SLaK
from lkdense.analysis import compute_cost, measure_run, whole_pass, zero_at_random
from lkdense.commands import main
from lkdense.config import read_config
from lkdense.layers import DepthwiseConv2d, SquareLargeKernel, StripLargeKernel
from lkdense.models import build_model
from lkdense.ops import BACKENDS, depthwise_conv2d, strips_conv2d

ROOT = Path(__file__).parents[2]


class Net(nn.Module):
    """A network of one image: 3 -> 8 channels at half the size, a large kernel, and 10 classes."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.depthwise = DepthwiseConv2d(8, (31, 5))
        self.linear = nn.Linear(8, 10)

    def forward(self, x):
        return self.linear(self.depthwise(self.conv(x)).mean((2, 3)))


CONV, DEPTHWISE, LINEAR = 16 * 32 * 8 * 27, 16 * 32 * 8 * 31 * 5, 80


def test_a_network_counted_by_hand():
    cost = compute_cost(Net(), (32, 64))
    assert cost.macs == cost.sparse_macs == CONV + DEPTHWISE + LINEAR
    assert cost.parameters == cost.nonzero == 8 * 27 + 8 + 8 * 155 + 8 + 90


def test_zeros_are_left_out_of_what_is_not_zero():
    net = Net()
    with torch.no_grad():
        net.depthwise.weight[:2] = 0
    cost = compute_cost(net, (32, 64))
    assert cost.sparse_macs == cost.macs - DEPTHWISE // 4
    assert cost.nonzero == cost.parameters - 2 * 155


def test_merged_strips_are_as_sparse_as_they_were():
    layer = StripLargeKernel(4, 31, 5).merged()
    net = nn.Sequential(nn.Conv2d(3, 4, 1), layer).eval()
    dense = compute_cost(net, (32, 32))
    with torch.no_grad():
        layer.vertical.weight[:, :, :15] = 0
    assert dense.sparse_macs == dense.macs
    sparse = compute_cost(net, (32, 32))
    assert sparse.macs == dense.macs
    assert sparse.sparse_macs == pytest.approx(dense.macs - 4 * 15 * 5 * 32 * 32, abs=1)


def test_zero_at_random_zeroes_the_same_share_of_all_kernels():
    net = nn.Sequential(nn.Conv2d(3, 64, 7), nn.BatchNorm2d(64), nn.Conv2d(64, 64, 3))
    zero_at_random(net, 0.4)
    for layer in (net[0], net[2]):
        assert (layer.weight == 0).float().mean().item() == pytest.approx(0.4, abs=0.02)
    assert net[1].weight.count_nonzero() == 64


@pytest.mark.parametrize('backend', BACKENDS)
def test_all_backends_count_the_convolution_and_not_how_they_compute_it(backend):
    x, weight = torch.randn(2, 4, 20, 24), torch.randn(4, 1, 15, 9)
    with FlopCounterMode(display=False) as counter:
        depthwise_conv2d(x, weight, backend=backend)
    assert counter.get_total_flops() == 2 * 2 * 4 * 20 * 24 * 15 * 9


@pytest.mark.parametrize('backend', ['cpu', 'fft', 'triton'])
def test_both_gradients_count_as_much_as_the_convolution(backend):
    x = torch.randn(2, 4, 20, 24, requires_grad=True)
    weight = torch.randn(4, 1, 15, 9, requires_grad=True)
    y = depthwise_conv2d(x, weight, backend=backend).sum()
    with FlopCounterMode(display=False) as counter:
        y.backward()
    assert counter.get_total_flops() == 2 * 2 * 2 * 4 * 20 * 24 * 15 * 9


def test_strips_that_run_as_one_kernel_count_as_two():
    x, vertical, horizontal = torch.randn(1, 4, 40, 40), torch.randn(4, 1, 31, 5), torch.randn(4, 1, 5, 31)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        strips_conv2d(x, vertical, horizontal, backend='fft')
    assert counter.get_total_flops() == 2 * 2 * 4 * 40 * 40 * 31 * 5


@pytest.mark.parametrize('layer', [SquareLargeKernel(4, 31, 5), StripLargeKernel(4, 31, 5)])
def test_merging_saves_the_small_kernel(layer):
    size = (1, 4, 16, 16)
    with FlopCounterMode(display=False) as before:
        layer.eval()(torch.randn(size))
    with FlopCounterMode(display=False) as after:
        layer.merged()(torch.randn(size))
    assert before.get_total_flops() - after.get_total_flops() == 2 * 4 * 16 * 16 * 25


def test_the_model_is_left_as_it_was():
    net = SLaK('pico').eval()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    compute_cost(net, (64, 64))
    torch.testing.assert_close(dict(net.state_dict()), before)
    assert not any(layer._forward_hooks for layer in net.modules())


# parameters in M and multiply-adds in G, of the papers and repositories that docs/reference/model_zoo.md names
@pytest.mark.parametrize(
    ('config', 'size', 'parameters', 'macs'),
    [
        ('upernet_convnext_t_ade20k', (512, 2048), 60, 939),
        ('upernet_replknet_31b_ade20k', (512, 2048), 112, 1170),
        ('cascade_mask_rcnn_replknet_31b_coco', (800, 1280), 137, 965),
        ('fcos_replknet_31b_coco', (800, 1280), 87, 437),
    ],
)
def test_whole_models_cost_what_their_authors_say(config, size, parameters, macs):
    model = build_model(read_config(config))
    model.backbone.switch_to_deploy()
    cost = compute_cost(model, size, whole_pass)
    assert cost.parameters / 1e6 == pytest.approx(parameters, rel=0.02)
    assert cost.macs / 1e9 == pytest.approx(macs, rel=0.02)


@pytest.mark.parametrize(('kind', 'offsets'), [(DeformConv2dPack, 18), (ModulatedDeformConv2dPack, 27)])
def test_deformable_convolutions_count_like_others(kind, offsets):
    net = nn.Sequential(nn.Conv2d(3, 8, 1), kind(8, 16, 3, padding=1)).eval()
    assert compute_cost(net, (12, 20)).macs == 12 * 20 * (3 * 8 + 9 * 8 * (offsets + 16))


def test_models_without_feature_maps_alone(capsys):
    """Queries, attention that runs with values only, and a head whose cost nobody can tell."""
    stock = Path(mmdet.__path__[0], '.mim/configs')
    lines = {}
    for name in ('deformable_detr/deformable-detr_r50_16xb2-50e', 'sparse_rcnn/sparse-rcnn_r50_fpn_1x'):
        main(['complexity', str(stock / f'{name}_coco.py'), '--shape', '64', '96', '--no-run'])
        lines[name.split('/')[0]] = capsys.readouterr().out.splitlines()[-1].split()
    assert lines['deformable_detr'][2] == '40,118,934' and float(lines['deformable_detr'][4]) > 1
    assert lines['sparse_rcnn'][2] == '106,290,888' and lines['sparse_rcnn'][4:6] == ['not', 'counted:']


def test_a_run_is_timed_and_its_memory_measured():
    net = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.ReLU()).eval()
    run = measure_run(net, (512, 512))
    assert run.seconds > 0
    # the output of each of the two layers
    if run.mebibytes is not None:
        assert 60 <= run.mebibytes < 400


def test_a_model_of_another_kind_is_refused():
    class Matcher(nn.Module):
        def extract_feat(self, image):
            return image

    with pytest.raises(ValueError, match='neither a segmentor nor a detector: Matcher'):
        whole_pass(Matcher(), torch.ones(1))


def test_the_tool():
    command = [sys.executable, ROOT / 'tools/complexity.py', 'upernet_slak_pico_ade20k', '--shape', '64', '96']
    done = subprocess.run([*map(str, command), '--sparsity', '0.4'], capture_output=True, text=True, check=True)
    backbone, whole = (line.split() for line in done.stdout.splitlines()[-2:])
    assert backbone[0] == 'backbone' and whole[:2] == ['whole', 'model']
    parameters, nonzero = (int(number.replace(',', '')) for number in backbone[1:3])
    assert parameters == sum(parameter.numel() for parameter in SLaK('pico').parameters())
    assert nonzero / parameters == pytest.approx(0.6, abs=0.01)
    assert float(backbone[4]) / float(backbone[3]) == pytest.approx(0.6, abs=0.01)
    assert float(backbone[5]) > 0
