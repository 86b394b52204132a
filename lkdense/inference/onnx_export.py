"""Models as ONNX graphs: a merged backbone, or a whole segmentor around one."""

from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..backbones import StagedBackbone
from ..layers import DepthwiseConv2d

# how far onnxruntime may be from PyTorch, relative to the largest value
TOLERANCE = 1e-4


class Scores(nn.Module):
    """A segmentor as one function: a normalized image ``[N, 3, H, W]`` to the scores of classes ``[N, K, H, W]``."""

    def __init__(self, segmentor: nn.Module):
        super().__init__()
        self.segmentor = segmentor

    def forward(self, image: Tensor) -> Tensor:
        """Return the scores at the size of the image."""
        scores = self.segmentor(image, mode='tensor')
        align = self.segmentor.decode_head.align_corners
        return F.interpolate(scores, image.shape[2:], mode='bilinear', align_corners=align)


def export_onnx(module: nn.Module, path: str | Path, size: tuple[int, int], dynamic_size: bool) -> None:
    """Write ``module``, a function of one image ``[N, 3, H, W]``, as an ONNX graph for any N.

    Args:
        module: in eval mode; a backbone in it should be merged, see ``switch_to_deploy``.
        path: the file to write.
        size: height and width in pixels.
        dynamic_size: let the graph take any H and W, multiples of 32. The pooling of UPerNet has no such graph.

    Raises:
        ImportError: onnx or onnxscript is not there.
    """
    image = torch.zeros(2, 3, *size)
    auto = torch.export.Dim.AUTO
    dims = {0: torch.export.Dim('batch')} | ({2: auto, 3: auto} if dynamic_size else {})
    outputs = [f'stage{i + 1}' for i in module.out_indices] if isinstance(module, StagedBackbone) else ['scores']

    # the exporter tells at length what it passes by
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
    """Return how far onnxruntime is from PyTorch on ``image``: the largest difference over the largest value.

    Raises:
        ImportError: onnxruntime is not there.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    theirs = [torch.from_numpy(output) for output in session.run(None, {'image': image.numpy()})]
    with torch.no_grad():
        ours = module(image)
    ours = [ours] if isinstance(ours, Tensor) else ours
    return max(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(theirs, ours, strict=True))


@contextmanager
def _ordinary_convolutions(module: nn.Module) -> Iterator[None]:
    # a graph for any runtime holds standard operators, and no conversions between memory formats
    layers = [layer for layer in module.modules() if isinstance(layer, DepthwiseConv2d)]
    backbones = [part for part in module.modules() if isinstance(part, StagedBackbone)]
    before = [layer.backend for layer in layers]

    for layer in layers:
        layer.backend = 'eager'

    for part in backbones:
        part.CHANNELS_LAST_ON_CPU = False

    try:
        yield
    finally:
        for layer, backend in zip(layers, before):
            layer.backend = backend
        for part in backbones:
            del part.CHANNELS_LAST_ON_CPU
