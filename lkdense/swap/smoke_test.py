"""Whether a model of mmseg or mmdet works: it is built, and run on a small image as in a test."""

import atexit
import copy
import importlib
import logging
import shutil
import tempfile
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
from ..config import dicts_in
from ..errors import first_line
from ..models import build_model, on_meta_or_cpu
from .feature_maps import SwapError

# Sides of the image in pixels, in the order in which they are tried. A small image has fewer places than some models
# have queries, and is too small for the strides of others.
SIZES = (64, 256, 512)
# The text for detectors that read texts, and the place of its one phrase in it.
TEXT, PHRASES = 'a shape.', [[[0, 7]]]
# Number of tokens that a text has, and the width of each.
TOKENS, TOKEN_WIDTH = 6, 768
# Proposals for detectors that have no network that finds them.
BOXES = ((8.0, 8.0, 60.0, 50.0), (20.0, 4.0, 40.0, 64.0))


class TextStub(nn.Module):
    """Random features in the place of a language model, which would be downloaded and reads no maps.

    Args:
        use_sub_sentence_represent: as in mmdetection's language models: tokens attend to those of their own phrase.
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
        features = torch.randn(*shape, TOKEN_WIDTH)
        mask = torch.ones(shape, dtype=torch.bool)
        if not self.by_phrases:
            return dict(embedded=features, hidden=features, masks=mask)

        positions = torch.arange(TOKENS).expand(shape)
        attention = mask[:, None].expand(-1, TOKENS, -1)
        return dict(embedded=features, hidden=features, masks=attention, position_ids=positions, text_token_mask=mask)

    def tokenizer(self, captions: list[str], **_) -> SimpleNamespace:
        """Return an encoding that gives the token of a character, as if each character were one."""
        return SimpleNamespace(char_to_token=lambda character: min(character, TOKENS - 1))


def run_smoke_test(cfg: Config) -> nn.Module:
    """Build the model of ``cfg``, predict from one small image, and return the model.

    Heads that help in training only get the maps too. Nothing is downloaded: see :class:`TextStub`.

    >>> from lkdense.config import read_config
    >>> type(run_smoke_test(read_config('upernet_convnext_pico_ade20k'))).__name__
    'EncoderDecoder'

    Raises:
        SwapError: it fails.
    """
    try:
        model = build_offline(cfg)
        for size in SIZES:
            try:
                with torch.no_grad():
                    run_on_image(model, torch.randn(1, 3, size, size))
                return model
            except (RuntimeError, AssertionError, IndexError):
                if size == SIZES[-1]:
                    raise
    except Exception as error:
        # The classes of the hosts may raise errors of any kind.
        raise SwapError('fails', first_line(error)) from error


def find_optimizer_error(model: nn.Module, cfg: Config) -> str | None:
    """Return why the optimizer of ``cfg`` cannot be built for ``model``, or None if it can.

    >>> cfg = Config(dict(optim_wrapper=dict(optimizer=dict(type='SGD', lr=-1))))
    >>> find_optimizer_error(nn.Linear(3, 3), cfg)
    'ValueError: Invalid learning rate: -1'
    """
    wrapper = cfg.get('optim_wrapper') or {}
    if 'optimizer' not in wrapper:
        return None

    # The rest of the wrapper is for mixed precision or for several processes.
    parts = {key: wrapper[key] for key in ('optimizer', 'constructor', 'paramwise_cfg') if key in wrapper}
    scope = cfg.get('default_scope') or 'mmengine'

    # The constructors of the hosts log every parameter.
    logging.disable(logging.INFO)
    try:
        with DefaultScope.overwrite_default_scope(scope), redirect_stdout(StringIO()):
            build_optim_wrapper(model, dict(type='OptimWrapper', **parts))
    except Exception as error:
        # The constructors of the hosts may raise errors of any kind.
        return first_line(error)
    finally:
        logging.disable(logging.NOTSET)

    return None


def runs_to_heads(cfg: Config) -> bool:
    """Return whether the model of ``cfg`` can be built, and its backbone and neck run."""
    try:
        with torch.no_grad():
            unwrap_detector(build_offline(cfg)).extract_feat(torch.randn(1, 3, SIZES[1], SIZES[1]))
    except Exception:
        # The classes of the hosts may raise errors of any kind.
        return False

    return True


def build_offline(cfg: Config) -> nn.Module:
    """Return the model of ``cfg``, in eval mode, without anything that would be downloaded."""
    cfg = copy.deepcopy(cfg)
    if 'language_model' in cfg.model:
        by_phrases = cfg.model.language_model.get('use_sub_sentence_represent', False)
        cfg.model.language_model = dict(type=f'{__name__}.TextStub', use_sub_sentence_represent=by_phrases)
    if cfg.model.get('teacher_ckpt'):
        cfg.model.teacher_ckpt = None

    for part in dicts_in(cfg.model):
        # Recomputed layers are for training, and need fairscale.
        if 'num_cp' in part:
            part['num_cp'] = 0
        # Statistics of several processes are for training, too.
        if part.get('type') == 'MMSyncBN':
            part['type'] = 'BN'
        if 'lang_model_name' in part:
            part['lang_model_name'] = write_bert_config()

    return build_model(cfg)


@cache
def write_bert_config() -> str:
    """Return a folder with the settings of BERT's base model, which heads for text would otherwise download."""
    folder = tempfile.mkdtemp(prefix='lkdense_')
    atexit.register(shutil.rmtree, folder)
    Path(folder, 'config.json').write_text('{"model_type": "bert"}')
    return folder


def parameter_names(model: dict, scope: str | None) -> tuple[str, ...]:
    """Return the names of the parameters of a model's config; none, if it cannot be built."""
    cfg = Config(dict(model=model, default_scope=scope))
    try:
        built = on_meta_or_cpu(lambda: build_offline(cfg))
    except Exception:
        # The classes of the hosts may raise errors of any kind.
        return ()

    return tuple(name for name, _ in built.named_parameters())


def unwrap_detector(model: nn.Module) -> nn.Module:
    """Return the detector inside a tracker, or the student beside its teacher; otherwise the model itself.

    >>> type(unwrap_detector(nn.Identity())).__name__
    'Identity'
    """
    return getattr(model, 'detector', getattr(model, 'student', model))


def run_on_image(model: nn.Module, image: Tensor) -> None:
    """Predict from one image ``[1, 3, H, W]``, and run the heads that help in training only."""
    model = unwrap_detector(model)
    if hasattr(model, 'decode_head'):
        model.predict(image, [_empty_sample('mmseg', 'SegDataSample', image)])
        _run_auxiliary_heads(model, image)
        return

    sample = _empty_sample('mmdet', 'DetDataSample', image)
    sample.text, sample.tokens_positive = TEXT, PHRASES
    if not getattr(model, 'with_rpn', False):
        sample.proposals = InstanceData(bboxes=torch.tensor(BOXES), scores=torch.ones(len(BOXES)))

    if hasattr(model, 'track_head'):
        # A tracker gets a video of one frame.
        video = importlib.import_module('mmdet.structures').TrackDataSample(video_data_samples=[sample])
        model.predict(image[None], [video], rescale=False)
    else:
        model.predict(image, [sample], rescale=False)


def compare_costs(before: Config, after: Config, size: tuple[int, int]) -> list[str]:
    """Return the lines of a table: parameters and multiply-adds of backbones and models, before and after.

    >>> from lkdense.config import read_config
    >>> cfg = read_config('upernet_convnext_pico_ade20k')
    >>> compare_costs(cfg, cfg, (64, 64))[1].split()
    ['backbone', '8.53', 'M', '0.11']

    Args:
        before: a config.
        after: the config with another backbone.
        size: height and width of the image in pixels.
    """
    lines = [f'{"":12} {"parameters":>24} {"GMAC at " + "x".join(map(str, size)):>24}']
    old_costs, new_costs = _measure_costs(before, size), _measure_costs(after, size)
    for part in ('backbone', 'whole model'):
        columns = [_arrow(old, new) for old, new in zip(old_costs[part], new_costs[part])]
        lines.append(f'{part:12} {" ".join(columns)}')

    return lines


def _run_auxiliary_heads(model: nn.Module, image: Tensor) -> None:
    heads = getattr(model, 'auxiliary_head', None)
    if heads is None:
        return

    maps = model.extract_feat(image)
    for head in heads if isinstance(heads, nn.ModuleList) else [heads]:
        head(maps)


def _measure_costs(cfg: Config, size: tuple[int, int]) -> dict[str, tuple[str, str]]:
    """Return parameters and multiply-adds of the backbone and of the model, in words where one is not known."""
    try:
        model = unwrap_detector(build_offline(cfg))
    except Exception:
        # The classes of the hosts may raise errors of any kind.
        return dict.fromkeys(('backbone', 'whole model'), ('not built', 'not built'))

    costs = {}
    for name, part, forward in (('backbone', model.backbone, None), ('whole model', model, whole_pass)):
        parameters = sum(parameter.numel() for parameter in part.parameters())
        try:
            macs = f'{compute_cost(part, size, forward).macs / 1e9:.2f}'
        except Exception:
            # Some operators of mmcv run with values only, and some heads ask for more than maps.
            macs = 'not counted'

        costs[name] = f'{parameters / 1e6:.2f} M', macs

    return costs


def _arrow(before: str, after: str) -> str:
    text = before if before == after else f'{before} -> {after}'
    return f'{text:>24}'


def _empty_sample(package: str, name: str, image: Tensor) -> BaseDataElement:
    """Return a data sample of mmseg or mmdet with what its transforms tell of an image, and no annotations."""
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
