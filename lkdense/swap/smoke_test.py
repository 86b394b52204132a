"""Whether a model of mmseg or mmdet works: built, and run on a small image as in a test."""

import atexit
import copy
import importlib
import logging
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmengine.structures import BaseDataElement, InstanceData
from torch import Tensor, nn

from ..analysis import compute_cost, whole_pass
from ..errors import first_line
from ..models import build_model
from .feature_maps import SwapError
from .rewire import dicts

# sides of the image in pixels; some models have more queries than a small image has places, or strides that end it
SIZES = (64, 256, 512)
# what detectors that read texts are asked for, with the place of its one phrase
TEXT, PHRASES = 'a shape.', [[[0, 7]]]
# of a text, and the width of each of them
TOKENS, TOKEN_WIDTH = 6, 768
# proposals that detectors without a network for them get
BOXES = ((8.0, 8.0, 60.0, 50.0), (20.0, 4.0, 40.0, 64.0))


class TextStub(nn.Module):
    """Random features in the place of a language model, which would be downloaded and reads no maps.

    Args:
        use_sub_sentence_represent: as mmdetection's models have it: tokens attend to those of their own phrase.
    """

    pad_to_max = False

    def __init__(self, use_sub_sentence_represent: bool = False):
        super().__init__()
        self.by_phrases = use_sub_sentence_represent
        self.language_backbone = nn.Module()
        self.language_backbone.body = nn.Module()
        self.language_backbone.body.language_dim = TOKEN_WIDTH

    def forward(self, captions: list[str]) -> dict[str, Tensor]:
        """Return what mmdetection's language models return."""
        shape = (len(captions), TOKENS)
        features, mask = torch.randn(*shape, TOKEN_WIDTH), torch.ones(shape, dtype=torch.bool)
        if not self.by_phrases:
            return dict(embedded=features, hidden=features, masks=mask)
        places = torch.arange(TOKENS).expand(shape)
        attention = mask[:, None].expand(-1, TOKENS, -1)
        return dict(embedded=features, hidden=features, masks=attention, position_ids=places, text_token_mask=mask)

    def tokenizer(self, captions: list[str], **_) -> SimpleNamespace:
        """Return what tells the token of a character: as if each were one."""
        return SimpleNamespace(char_to_token=lambda character: min(character, TOKENS - 1))


def try_out(cfg: Config) -> nn.Module:
    """Build the model of ``cfg``, predict from one small image, and return the model.

    Heads that help in training only get the maps too. Nothing is downloaded: see :class:`TextStub`.

    Raises:
        SwapError: it fails.
    """
    try:
        model = build(cfg)
        for size in SIZES:
            try:
                with torch.no_grad():
                    run(model, torch.randn(1, 3, size, size))
                return model
            except (RuntimeError, AssertionError, IndexError):
                if size == SIZES[-1]:
                    raise
    except Exception as error:  # what any class of a host may raise
        raise SwapError('fails', first_line(error)) from error


def optimizer_fails(model: nn.Module, cfg: Config) -> str | None:
    """Return why the optimizer of ``cfg`` cannot be built for ``model``, or None."""
    if 'optimizer' not in (cfg.get('optim_wrapper') or {}):
        return None

    # without what is for mixed precision or for several processes
    parts = {
        key: cfg.optim_wrapper[key] for key in ('optimizer', 'constructor', 'paramwise_cfg') if key in cfg.optim_wrapper
    }
    # the hosts tell at length what they build
    logging.disable(logging.INFO)

    try:
        scope = cfg.get('default_scope') or 'mmengine'
        with DefaultScope.overwrite_default_scope(scope), redirect_stdout(StringIO()):
            build_optim_wrapper(model, dict(type='OptimWrapper', **parts))
    except Exception as error:  # what any constructor of a host may raise
        return first_line(error)
    finally:
        logging.disable(logging.NOTSET)

    return None


def runs_to_heads(cfg: Config) -> bool:
    """Whether the model of ``cfg`` is built, and its backbone and neck run."""
    try:
        with torch.no_grad():
            inner(build(cfg)).extract_feat(torch.randn(1, 3, SIZES[1], SIZES[1]))
    except Exception:  # what any class of a host may raise
        return False
    return True


def build(cfg: Config) -> nn.Module:
    """Return the model of ``cfg``, in eval mode, without anything that would be downloaded."""
    cfg = copy.deepcopy(cfg)
    if 'language_model' in cfg.model:
        by_phrases = cfg.model.language_model.get('use_sub_sentence_represent', False)
        cfg.model.language_model = dict(type=f'{__package__}.trial.TextStub', use_sub_sentence_represent=by_phrases)
    if cfg.model.get('teacher_ckpt'):
        cfg.model.teacher_ckpt = None

    for part, _ in dicts(cfg.model, 'model'):
        # both are for training: recomputed layers, which take fairscale, and statistics of several processes
        if 'num_cp' in part:
            part['num_cp'] = 0
        if part.get('type') == 'MMSyncBN':
            part['type'] = 'BN'
        if 'lang_model_name' in part:
            part['lang_model_name'] = text_config()

    return build_model(cfg)


@cache
def text_config() -> str:
    """Return a folder with the settings of BERT's base model, which heads for text read, else from the internet."""
    folder = tempfile.mkdtemp(prefix='lkdense_')
    atexit.register(shutil.rmtree, folder)
    Path(folder, 'config.json').write_text('{"model_type": "bert"}')
    return folder


def parameters(model: dict, scope: str | None) -> tuple[str, ...]:
    """Return the names of the parameters of a model's config; none, if it cannot be built."""
    for device in ('meta', 'cpu'):
        try:
            with torch.device(device):
                return tuple(
                    name for name, _ in build(Config(dict(model=model, default_scope=scope))).named_parameters()
                )
        except Exception:  # what any class of a host may raise
            continue
    return ()


def inner(model: nn.Module) -> nn.Module:
    """Return the detector that a tracker or a teacher and its student go round, or the model itself."""
    return getattr(model, 'detector', getattr(model, 'student', model))


def run(model: nn.Module, image: Tensor) -> None:
    """Predict from one image ``[1, 3, H, W]``."""
    model = inner(model)
    if hasattr(model, 'decode_head'):
        model.predict(image, [_sample('mmseg', 'SegDataSample', image)])
        heads = getattr(model, 'auxiliary_head', None)
        maps = model.extract_feat(image)
        for head in heads if isinstance(heads, nn.ModuleList) else [heads] if heads is not None else []:
            head(maps)
        return

    sample = _sample('mmdet', 'DetDataSample', image)
    if not getattr(model, 'with_rpn', False):
        sample.proposals = InstanceData(bboxes=torch.tensor(BOXES), scores=torch.ones(len(BOXES)))

    sample.text, sample.tokens_positive = TEXT, PHRASES
    if hasattr(model, 'track_head'):
        # a video of one frame
        video = importlib.import_module('mmdet.structures').TrackDataSample(video_data_samples=[sample])
        model.predict(image[None], [video], rescale=False)
    else:
        model.predict(image, [sample], rescale=False)


def cost_table(before: Config, after: Config, size: tuple[int, int]) -> list[str]:
    """Return the lines of a table: parameters and multiply-adds of backbones and models, before and after."""
    lines = [f'{"":12} {"parameters":>24} {"GMAC at " + "x".join(map(str, size)):>24}']
    costs = [_costs(cfg, size) for cfg in (before, after)]
    for part in ('backbone', 'whole model'):
        parameters, macs = zip(*(cost[part] for cost in costs))
        lines.append(f'{part:12} {_arrow(parameters)} {_arrow(macs)}')
    return lines


def _costs(cfg: Config, size: tuple[int, int]) -> dict[str, tuple[str, str]]:
    """Parameters and multiply-adds of the backbone and of the model, as far as they can be told."""
    try:
        model = inner(build(cfg))
    except Exception:  # what any class of a host may raise
        return dict.fromkeys(('backbone', 'whole model'), ('not built', 'not built'))

    costs = {}
    for name, part, forward in (('backbone', model.backbone, None), ('whole model', model, whole_pass)):
        parameters = sum(parameter.numel() for parameter in part.parameters())
        try:
            macs = f'{compute_cost(part, size, forward).macs / 1e9:.2f}'
        except Exception:  # some operators of mmcv run with values only, and some heads ask for more
            macs = 'not counted'
        costs[name] = f'{parameters / 1e6:.2f} M', macs

    return costs


def _arrow(pair: Sequence[str]) -> str:
    return f'{" -> ".join(dict.fromkeys(pair)):>24}'


def _sample(package: str, name: str, image: Tensor) -> BaseDataElement:
    shape = tuple(image.shape[-2:])
    metainfo = dict(
        img_shape=shape,
        ori_shape=shape,
        pad_shape=shape,
        batch_input_shape=shape,
        padding_size=[0, 0, 0, 0],
        border=[0.0, shape[0], 0.0, shape[1]],
        scale_factor=(1.0, 1.0),
        img_id=0,
        flip=False,
        flip_direction=None,
    )

    return getattr(importlib.import_module(f'{package}.structures'), name)(metainfo=metainfo)
