"""Export models as ONNX graphs: a merged backbone, or a whole segmentor around one."""

from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..backbones import StagedBackbone
from ..layers import DepthwiseConv2d

# The outputs of onnxruntime and PyTorch may differ by this much, relative to the largest value.
TOLERANCE = 1e-4


class SegmentationScores(nn.Module):
    """A segmentor as one function: normalized images ``[N, 3, H, W]`` to the scores of classes ``[N, K, H, W]``."""

    def __init__(self, segmentor: nn.Module):
        super().__init__()
        self.segmentor = segmentor

    def forward(self, image: Tensor) -> Tensor:
        """Return the scores at the size of the image."""
        scores = self.segmentor(image, mode='tensor')
        align = self.segmentor.decode_head.align_corners
        return F.interpolate(scores, image.shape[2:], mode='bilinear', align_corners=align)


def export_onnx(module: nn.Module, path: str | Path, size: tuple[int, int], dynamic_size: bool) -> None:
    """Write ``module``, a function of images ``[N, 3, H, W]``, as an ONNX graph for any N.

    Args:
        module: in eval mode; a backbone in it should be merged, see ``switch_to_deploy``.
        path: the file to write.
        size: height and width in pixels.
        dynamic_size: let the graph take any H and W, multiples of 32. The pooling of UPerNet has no such graph.

    Raises:
        ImportError: onnx or onnxscript is not installed.
    """
    image = torch.zeros(2, 3, *size)
    dims = {0: torch.export.Dim('batch')}
    if dynamic_size:
        dims |= {2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
    outputs = ['scores']
    if isinstance(module, StagedBackbone):
        outputs = [f'stage{index + 1}' for index in module.out_indices]

    # The exporter prints a long report of its steps.
    with _ordinary_convolutions(module), torch.no_grad(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        program = torch.onnx.export(
            module,
            (image,),
            dynamo=True,
            dynamic_shapes=(dims,),
            input_names=['image'],
            output_names=outputs,
            verbose=False,
        )

    program.save(str(path))


def onnx_difference(module: nn.Module, path: str | Path, image: Tensor) -> float:
    """Run a graph in onnxruntime and return how far it is from PyTorch: the largest difference over the largest value.

    Args:
        module: the module that was exported.
        path: the file of its graph.
        image: images ``[N, 3, H, W]`` to run both on.

    Raises:
        ImportError: onnxruntime is not installed.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    actual_outputs = [torch.from_numpy(output) for output in session.run(None, {'image': image.numpy()})]
    with torch.no_grad():
        expected_outputs = module(image)
    if isinstance(expected_outputs, Tensor):
        expected_outputs = [expected_outputs]

    differences = []
    for actual, expected in zip(actual_outputs, expected_outputs, strict=True):
        difference = (actual - expected).abs().max() / expected.abs().max()
        differences.append(difference.item())
    return max(differences)


@contextmanager
def _ordinary_convolutions(module: nn.Module) -> Iterator[None]:
    """Keep to standard operators and one memory format for a while, so that any runtime can take the graph."""
    layers = [layer for layer in module.modules() if isinstance(layer, DepthwiseConv2d)]
    backends = [layer.backend for layer in layers]
    backbones = [part for part in module.modules() if isinstance(part, StagedBackbone)]

    for layer in layers:
        layer.backend = 'eager'
    for backbone in backbones:
        backbone.CHANNELS_LAST_ON_CPU = False

    try:
        yield
    finally:
        for layer, backend in zip(layers, backends):
            layer.backend = backend
        for backbone in backbones:
            # The attribute of the class shows again.
            del backbone.CHANNELS_LAST_ON_CPU
