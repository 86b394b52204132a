"""A backbone as an image classifier: for pretraining, and to compare its accuracy with that in dense prediction.

"mixup: Beyond Empirical Risk Minimization", https://arxiv.org/abs/1710.09412
"CutMix: Regularization Strategy to Train Strong Classifiers", https://arxiv.org/abs/1905.04899
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch import Tensor, nn

NORMS = {'layer': lambda width: nn.LayerNorm(width, eps=1e-6), 'batch': nn.SyncBatchNorm}


@MODELS.register_module()
class ImageClassifier(BaseModel):
    """A backbone, the mean over its last map, a norm and a linear layer: images ``[N, 3, H, W]`` to ``[N, classes]``.

    Its checkpoint serves as ``init_cfg`` of the same backbone under any dense head.

    >>> import lkdense
    >>> backbone = dict(type='SLaK', arch='pico', out_indices=(3,), norm_outputs=False)
    >>> model = lkdense.ImageClassifier(backbone, num_classes=10).eval()
    >>> model(torch.randn(2, 3, 64, 64)).shape
    torch.Size([2, 10])
    >>> list(model(torch.randn(2, 3, 64, 64), [3, 7], mode='loss'))
    ['loss']

    Args:
        backbone: the config of a backbone that has ``out_channels``; its last output is a map ``[N, C, h, w]``.
        num_classes: the number of classes of the data set.
        norm: ``layer`` normalizes the pooled vector, as in ConvNeXt, SLaK and UniRepLKNet; ``batch`` normalizes the
            map before it is pooled, as in RepLKNet.
        label_smoothing: the share of the target that is spread over all classes.
        mixup: alpha of the Beta distribution of mixup's shares; 0 turns it off.
        cutmix: the same for CutMix; if both are on, each batch draws one of them.
        data_preprocessor: as in MMEngine; by default it only moves images to the device.
        init_cfg: as in MMEngine.

    Raises:
        ValueError: the norm is unknown.
    """

    def __init__(
        self,
        backbone: dict,
        num_classes: int = 1000,
        norm: str = 'layer',
        label_smoothing: float = 0.0,
        mixup: float = 0.0,
        cutmix: float = 0.0,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(data_preprocessor or dict(type='BaseDataPreprocessor'), init_cfg)
        if norm not in NORMS:
            raise ValueError(f'norm must be one of {", ".join(NORMS)}, got {norm!r}')

        self.backbone = MODELS.build(backbone)
        width = self.backbone.out_channels[-1]
        self.norm = NORMS[norm](width)
        self.norm_is_first = norm == 'batch'

        self.head = nn.Linear(width, num_classes)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

        self.num_classes, self.label_smoothing = num_classes, label_smoothing
        self.mixup, self.cutmix = mixup, cutmix

    def forward(self, inputs: Tensor, label: list[int] | Tensor | None = None, mode: str = 'tensor'):
        """Return scores for ``tensor``, ``{'loss': ...}`` for ``loss``, and a dict for each image for ``predict``."""
        inputs = torch.stack(inputs) if isinstance(inputs, list) else inputs
        if mode == 'tensor':
            return self.scores(inputs)
        if mode == 'predict':
            probabilities = self.scores(inputs).softmax(1)
            return [dict(scores=scores, label=int(truth)) for scores, truth in zip(probabilities, label)]

        inputs, targets = self.targets(inputs, label)
        return dict(loss=F.cross_entropy(self.scores(inputs).float(), targets))

    def scores(self, inputs: Tensor) -> Tensor:
        """Return the scores of all classes before softmax, ``[N, classes]``."""
        last = self.backbone(inputs)[-1]
        pooled = self.norm(last).mean((2, 3)) if self.norm_is_first else self.norm(last.mean((2, 3)))

        return self.head(pooled)

    def targets(self, inputs: Tensor, label: list[int] | Tensor) -> tuple[Tensor, Tensor]:
        """Return the batch, mixed if mixing is on, and its targets ``[N, classes]``, whose rows sum to 1."""
        label = torch.as_tensor(label, device=inputs.device)
        hard = F.one_hot(label, self.num_classes).to(inputs.dtype)
        soft = hard * (1 - self.label_smoothing) + self.label_smoothing / self.num_classes

        if not self.mixup and not self.cutmix:
            return inputs, soft

        cut = self.cutmix and (not self.mixup or np.random.rand() < 0.5)
        alpha = self.cutmix if cut else self.mixup
        share = float(np.random.beta(alpha, alpha))
        if cut:
            inputs, share = cut_and_mix(inputs, share)
        else:
            inputs = share * inputs + (1 - share) * inputs.flip(0)

        return inputs, share * soft + (1 - share) * soft.flip(0)


def cut_and_mix(images: Tensor, share: float) -> tuple[Tensor, float]:
    """Paste a rectangle of each image ``[N, C, H, W]`` into its partner: first and last, second and last but one, ...

    Args:
        images: the batch, which stays as it is.
        share: the share of the area that each image keeps if the rectangle is not cut off at the border.

    Returns:
        the new batch, and the share that each image keeps.
    """
    height, width = images.shape[2:]
    side = math.sqrt(1 - share)
    y, x = np.random.randint(height), np.random.randint(width)
    rows = _clipped(y, int(height * side), height)
    columns = _clipped(x, int(width * side), width)

    mixed = images.clone()
    mixed[:, :, rows, columns] = images.flip(0)[:, :, rows, columns]
    cut = (rows.stop - rows.start) * (columns.stop - columns.start)

    return mixed, 1 - cut / (height * width)


def _clipped(middle: int, length: int, size: int) -> slice:
    """Return an interval around ``middle``, as far as it lies between 0 and ``size``."""
    return slice(max(middle - length // 2, 0), min(middle + length // 2, size))
