"""ONNX graphs give PyTorch's numbers in onnxruntime, for any number of images and, of backbones, any size."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lkdense import ConvNeXt, RepLKNet, SLaK, UniRepLKNet

pytest.importorskip('onnx', reason='onnx is not installed')
pytest.importorskip('onnxscript', reason='onnxscript is not installed')
pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')
from lkdense.config import read_config
from lkdense.inference.onnx_export import TOLERANCE, export_onnx, onnx_difference
from lkdense.layers import DepthwiseConv2d
from lkdense.models import load_model

ROOT = Path(__file__).parents[2]
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
    # the export leaves the model as it was
    layers = [layer for layer in backbone.modules() if isinstance(layer, DepthwiseConv2d)]
    assert {layer.backend for layer in layers} == {None}
    assert backbone.CHANNELS_LAST_ON_CPU


def test_the_tool_exports_a_whole_segmentor_and_the_backbone_of_a_detector(tmp_path):
    seg, det = 'upernet_convnext_pico_ade20k', 'cascade_mask_rcnn_slak_pico_coco'
    for name in (seg, det):
        torch.save(load_model(read_config(name)).state_dict(), tmp_path / f'{name}.pth')

    export(tmp_path, seg, '--size', '128', '160')
    from onnxruntime import InferenceSession

    session = InferenceSession(tmp_path / f'{seg}.onnx')
    assert session.get_outputs()[0].shape == ['batch', 150, 128, 160]
    image = torch.randn(3, 3, 128, 160)
    (scores,) = session.run(None, {'image': image.numpy()})

    with torch.no_grad():
        expected = load_model(read_config(seg), tmp_path / f'{seg}.pth')(image, mode='tensor')

    expected = torch.nn.functional.interpolate(expected, (128, 160), mode='bilinear')
    torch.testing.assert_close(torch.from_numpy(scores), expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())

    export(tmp_path, det, '--backbone')
    names = [output.name for output in InferenceSession(tmp_path / f'{det}.onnx').get_outputs()]
    assert names == ['stage1', 'stage2', 'stage3', 'stage4']
    assert 'only segmentors' in export(tmp_path, det, fails=True).stderr
    assert 'multiples of 32, got 100 100' in export(tmp_path, seg, '--size', '100', '100', fails=True).stderr


def export(folder: Path, config: str, *options: str, fails: bool = False) -> subprocess.CompletedProcess:
    command = [
        sys.executable,
        ROOT / 'tools/export_onnx.py',
        config,
        folder / f'{config}.pth',
        folder / f'{config}.onnx',
    ]
    done = subprocess.run([*map(str, command), *options], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == int(fails), done.stderr

    return done
