"""ONNX graphs give PyTorch's numbers in onnxruntime, for any number of images and, of backbones, any size."""

from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from lkdense import ConvNeXt, RepLKNet, SLaK, UniRepLKNet

pytest.importorskip('onnx', reason='onnx is not installed')
pytest.importorskip('onnxscript', reason='onnxscript is not installed')
pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')
from lkdense.commands import main
from lkdense.config import find_config, read_config
from lkdense.inference.onnx_export import TOLERANCE, export_onnx, onnx_difference
from lkdense.layers import DepthwiseConv2d
from lkdense.models import load_model

SMALL = dict(depths=(1, 1, 1, 1), dims=(8, 16, 24, 32))
BACKBONES = {
    'slak': lambda: SLaK(SMALL, kernel_sizes=(21, 19, 17, 13)),
    'replknet': lambda: RepLKNet(SMALL, kernel_sizes=(21, 19, 17, 13), norm_outputs=True),
    'convnext': lambda: ConvNeXt(SMALL),
    'unireplknet': lambda: UniRepLKNet(SMALL, kernel_sizes=((3,), (13,), (13,), (13,))),
}


@pytest.mark.parametrize('name', BACKBONES)
def test_a_merged_backbone_for_any_number_and_size_of_images(name, randomize_norms, tmp_path):
    backbone = randomize_norms(BACKBONES[name]()).eval()
    backbone.switch_to_deploy()
    backbone = backbone.eval()
    export_onnx(backbone, tmp_path / 'graph.onnx', (64, 96), dynamic_size=True)
    for size in ((1, 3, 64, 96), (3, 3, 96, 64), (2, 3, 32, 128)):
        assert onnx_difference(backbone, tmp_path / 'graph.onnx', torch.randn(size)) < TOLERANCE

    # The export leaves the model as it was.
    layers = [layer for layer in backbone.modules() if isinstance(layer, DepthwiseConv2d)]
    assert {layer.backend for layer in layers} == {None}
    assert backbone.CHANNELS_LAST_ON_CPU


class Exported(NamedTuple):
    graph: Path
    config: Path
    checkpoint: Path


@pytest.fixture
def export(tmp_path):
    """Export a model with one block in each stage and random weights, and return its files."""

    def export(name, *options):
        config, checkpoint, graph = (tmp_path / f'{name}{suffix}' for suffix in ('.py', '.pth', '.onnx'))
        arch = 'dict(_delete_=True, depths=(1, 1, 1, 1), dims=(64, 128, 256, 512))'
        config.write_text(f"_base_ = '{find_config(name)}'\nmodel = dict(backbone=dict(arch={arch}))\n")

        torch.save(load_model(read_config(config)).state_dict(), checkpoint)
        main(['export', str(config), str(checkpoint), str(graph), *options])
        return Exported(graph, config, checkpoint)

    return export


def test_the_command_exports_a_whole_segmentor(export, capsys):
    from onnxruntime import InferenceSession

    exported = export('upernet_convnext_pico_ade20k', '--size', '64', '96')
    assert 'input: image [N, 3, 64, 96], any N, normalized with' in capsys.readouterr().out
    session = InferenceSession(exported.graph)
    assert session.get_outputs()[0].shape == ['batch', 150, 64, 96]

    image = torch.randn(3, 3, 64, 96)
    (scores,) = session.run(None, {'image': image.numpy()})
    with torch.no_grad():
        expected = load_model(read_config(exported.config), exported.checkpoint)(image, mode='tensor')
    expected = torch.nn.functional.interpolate(expected, (64, 96), mode='bilinear')
    torch.testing.assert_close(torch.from_numpy(scores), expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


def test_the_command_exports_the_merged_backbone_of_a_detector(export, capsys):
    import onnx
    from onnxruntime import InferenceSession

    exported = export('cascade_mask_rcnn_slak_pico_coco', '--backbone', '--size', '64', '96')
    assert 'any N, H and W in multiples of 32' in capsys.readouterr().out
    names = [output.name for output in InferenceSession(exported.graph).get_outputs()]
    assert names == ['stage1', 'stage2', 'stage3', 'stage4']

    # Each block has its two strips and nothing else: the small square kernel is merged into one of them.
    weights = onnx.load(exported.graph).graph.initializer
    kernels = [tuple(weight.dims[2:]) for weight in weights if len(weight.dims) == 4]
    assert (5, 5) not in kernels and kernels.count((51, 5)) == kernels.count((5, 51)) == 1


@pytest.mark.parametrize(
    ('options', 'message'),
    [([], 'only segmentors'), (['--size', '100', '100'], 'multiples of 32, got 100 100')],
)
def test_what_cannot_be_exported_is_said(options, message):
    with pytest.raises(SystemExit, match=message):
        main(['export', 'faster_rcnn_convnext_pico_voc07', 'any.pth', 'any.onnx', *options])
