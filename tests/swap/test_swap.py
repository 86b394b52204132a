"""Shipped configs of each kind get another backbone: the new config is read back, built and run."""

from functools import cache
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import PolyLR, build_optim_wrapper
from mmengine.registry import MODELS

from lkdense.commands import main
from lkdense.config import dicts_in, get_config
from lkdense.swap import Maps, SwapError, SwapOptions, read_host_config, render_config, run_smoke_test, swap_backbone
from lkdense.swap.config_writer import render_value
from lkdense.swap.known_backbones import look_up_maps
from lkdense.swap.recipe import backbone_names, find_recipe
from lkdense.swap.smoke_test import TextStub, build_offline
from lkdense.swap.survey import shipped_configs

pytestmark = pytest.mark.filterwarnings('ignore::UserWarning', 'ignore::FutureWarning')

OFFICIAL = str(Path(__file__).parents[1] / 'official/slak_51_decomposed.pth')
MMSEG, MMDET = shipped_configs('mmseg')[0], shipped_configs('mmdet')[0]
# The widths of slak_pico.
ALL = [83, 166, 332, 665]
# Configs, with entries that the swap must set.
CONFIGS = {
    'upernet': (
        MMSEG / 'upernet/upernet_r18_4xb4-80k_ade20k-512x512.py',
        {'model.decode_head.in_channels': ALL, 'model.auxiliary_head.in_channels': 332, 'model.pretrained': None},
    ),
    'deeplabv3plus': (
        MMSEG / 'deeplabv3plus/deeplabv3plus_r18-d8_4xb2-80k_cityscapes-512x1024.py',
        {'model.decode_head.in_channels': 665, 'model.decode_head.c1_in_channels': 83},
    ),
    'ocrnet': (
        MMSEG / 'ocrnet/ocrnet_hr18s_4xb2-40k_cityscapes-512x1024.py',
        {'model.decode_head.0.in_channels': ALL, 'model.decode_head.1.in_channels': ALL},
    ),
    'ocrnet_dilated': (
        MMSEG / 'ocrnet/ocrnet_r101-d8_4xb2-40k_cityscapes-512x1024.py',
        {
            'model.decode_head.0.in_channels': 665,
            'model.decode_head.0.in_index': 3,
            'model.decode_head.1.in_channels': 665,
        },
    ),
    # The backbones of these two belong to mmpretrain, which is not installed.
    'convnext': (
        MMSEG / 'convnext/convnext-tiny_upernet_8xb2-amp-160k_ade20k-512x512.py',
        {'model.decode_head.in_channels': ALL, 'model.auxiliary_head.in_channels': 332, 'custom_imports': None},
    ),
    'poolformer': (MMSEG / 'poolformer/fpn_poolformer_s12_8xb4-40k_ade20k-512x512.py', {'model.neck.in_channels': ALL}),
    'fastfcn': (
        MMSEG / 'fastfcn/fastfcn_r50-d32_jpu_psp_4xb2-80k_cityscapes-512x1024.py',
        {
            'model.backbone.out_indices': (1, 2, 3),
            'model.neck.in_channels': (166, 332, 665),
            'model.decode_head.in_channels': 2048,
            'model.auxiliary_head.in_channels': 332,
        },
    ),
    'knet': (
        MMSEG / 'knet/knet-s3_r50-d8_pspnet_8xb2-adamw-80k_ade20k-512x512.py',
        {
            'model.decode_head.kernel_generate_head.in_channels': 665,
            'model.decode_head.kernel_update_head.0.in_channels': 512,
        },
    ),
    'mask2former': (
        MMDET / 'mask2former/mask2former_r50_8xb2-lsj-50e_coco.py',
        {'model.panoptic_head.in_channels': ALL, 'model.backbone.init_cfg': None},
    ),
    'mask_rcnn': (MMDET / 'mask_rcnn/mask-rcnn_r50-caffe_fpn_1x_coco.py', {'model.neck.in_channels': ALL}),
    'cascade_rcnn': (MMDET / 'cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py', {'model.neck.in_channels': ALL}),
    'faster_rcnn_dc5': (
        MMDET / 'faster_rcnn/faster-rcnn_r50-caffe-dc5_1x_coco.py',
        {
            'model.backbone.out_indices': (2,),
            'model.rpn_head.in_channels': 332,
            'model.roi_head.bbox_roi_extractor.out_channels': 332,
            'model.roi_head.bbox_head.in_channels': 332,
        },
    ),
    'retinanet': (
        MMDET / 'retinanet/retinanet_r50_fpn_1x_coco.py',
        {'model.neck.in_channels': ALL, 'model.neck.start_level': 1},
    ),
    'deformable_detr': (
        MMDET / 'deformable_detr/deformable-detr_r50_16xb2-50e_coco.py',
        {'model.backbone.out_indices': (1, 2, 3), 'model.neck.in_channels': [166, 332, 665]},
    ),
    'yolov3': (
        MMDET / 'yolo/yolov3_d53_8xb8-320-273e_coco.py',
        {'model.backbone.out_indices': (1, 2, 3), 'model.neck.in_channels': [665, 332, 166]},
    ),
    'soft_teacher': (
        MMDET / 'soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco.py',
        {'model.detector.neck.in_channels': ALL, 'model.data_preprocessor.data_preprocessor.bgr_to_rgb': True},
    ),
}
# Configs, with the kind of the refusal and a part of its message.
REFUSED = {
    'unet': (MMSEG / 'unet/unet-s5-d16_fcn_4xb4-160k_cityscapes-512x1024.py', 'no pyramid', 'UNet yields maps'),
    'bisenet': (MMSEG / 'bisenetv1/bisenetv1_r18-d32_4xb4-160k_cityscapes-1024x1024.py', 'no pyramid', 'BiSeNetV1'),
    'one fine map': (MMSEG / 'ddrnet/ddrnet_23-slim_in1k-pre_2xb6-120k_cityscapes-1024x1024.py', 'no pyramid', '8:'),
    'hourglass': (MMDET / 'cornernet/cornernet_hourglass104_8xb6-210e-mstest_coco.py', 'no pyramid', 'strides 4, 4'),
    'rfp': (MMDET / 'detectors/detectors_cascade-rcnn_r50_1x_coco.py', 'no pyramid', 'strides 1, 4, 8, 16, 32'),
    'c4': (
        MMDET / 'faster_rcnn/faster-rcnn_r50-caffe-c4_ms-1x_coco.py',
        'a stage of the old backbone in a head',
        'model.roi_head.shared_head is a ResLayer',
    ),
    'encoders': (MMSEG / 'san/san-vit-b16_coco-stuff164k-640x640.py', 'no backbone', 'MultimodalEncoderDecoder'),
    'no model': (MMDET / 'common/ms_3x_coco.py', 'no model', 'no model'),
}


def swapped(path, name='slak_pico', **options):
    return swap_backbone(read_host_config(path), name, SwapOptions(**options))


def derive(path, base, changes):
    """Write a config that inherits from ``base``, and return its path."""
    path.write_text(f'_base_ = {str(base)!r}\n{changes}\n')
    return path


@pytest.fixture
def small_upernet(tmp_path, monkeypatch):
    """The name of a config in the current folder: a UPerNet with narrow heads, which is built quickly."""
    monkeypatch.chdir(tmp_path)
    heads = 'model = dict(decode_head=dict(channels=16), auxiliary_head=dict(channels=16))'
    return derive(Path('mine.py'), CONFIGS['upernet'][0], heads).name


@pytest.mark.parametrize(('path', 'expected'), CONFIGS.values(), ids=CONFIGS)
def test_swaps_and_runs(path, expected, tmp_path):
    swap = swapped(path)
    new = tmp_path / 'new.py'
    new.write_text(render_config(str(path), swap.changes, 'A swap.'))
    cfg = read_host_config(new)
    assert cfg.to_dict() == swap.config

    for key, value in expected.items():
        entry = cfg
        for part in key.split('.'):
            entry = entry[int(part)] if part.isdigit() else entry.get(part)

        assert entry == value, key

    holder = cfg.model.get('detector', cfg.model)
    assert holder.backbone.type == 'lkdense.SLaK'
    assert set(holder.backbone) <= {'type', 'arch', 'drop_path_rate', 'out_indices'}
    assert cfg.get('load_from') is None
    assert 'lkdense' not in str(cfg.get('custom_imports'))

    run_smoke_test(cfg)


@pytest.mark.parametrize(('path', 'kind', 'words'), REFUSED.values(), ids=REFUSED)
def test_refuses_with_the_reason(path, kind, words):
    with pytest.raises(SwapError, match=words) as caught:
        swapped(path)
    assert caught.value.kind == kind


def test_a_plain_vit_is_refused(tmp_path):
    """Its blocks all yield maps of stride 16; four narrow ones are enough to see that."""
    vit = MMSEG / 'vit/vit_vit-b16_mln_upernet_8xb2-80k_ade20k-512x512.py'
    narrow = 'model = dict(backbone=dict(embed_dims=48, num_heads=3, num_layers=4, out_indices=(0, 1, 2, 3)))'

    with pytest.raises(SwapError, match='16, 16, 16, 16') as caught:
        swapped(derive(tmp_path / 'vit.py', vit, narrow))
    assert caught.value.kind == 'no pyramid'


def test_every_backbone_of_ours_has_a_recipe_and_goes_in(monkeypatch):
    # Many backbones and both scopes share a config, which takes long to read.
    monkeypatch.setattr('lkdense.swap.recipe.get_config', cache(get_config))
    some = {'slak_t', 'slak_b', 'replknet_31b', 'replknet_xl', 'convnext_t', 'unireplknet_s', 'slak_pico'}
    assert some <= set(backbone_names())

    for name in backbone_names():
        for scope in ('mmseg', 'mmdet'):
            assert find_recipe(name, scope).backbone['type'].startswith('lkdense.')

    with pytest.raises(SwapError, match='slak_t, slak_s'):
        find_recipe('slak_huge', 'mmseg')


def test_training_is_as_in_our_recipes():
    swap = swapped(CONFIGS['mask_rcnn'][0], 'slak_t', checkpoint='slak.pth')
    cfg = Config(swap.config)
    assert cfg.model.backbone == dict(
        type='lkdense.SLaK',
        arch='tiny',
        drop_path_rate=0.4,
        init_cfg=dict(type='Pretrained', checkpoint='slak.pth'),
    )

    assert cfg.optim_wrapper.optimizer == dict(type='AdamW', lr=2e-4, betas=(0.9, 0.999), weight_decay=0.05)
    assert cfg.optim_wrapper.paramwise_cfg == dict(decay_type='layer_wise', decay_rate=0.7)
    assert cfg.auto_scale_lr.base_batch_size == 16

    # The old backbone was of Caffe's kind, which takes images in BGR.
    assert cfg.model.data_preprocessor.bgr_to_rgb is True
    assert cfg.model.data_preprocessor.std == [58.395, 57.12, 57.375]

    optimizer = build_optim_wrapper(build_offline(cfg), cfg.optim_wrapper).optimizer
    rates = {group['lr'] for group in optimizer.param_groups}
    assert max(rates) == 2e-4
    assert min(rates) < 1e-4


def test_the_schedule_follows_the_new_rate():
    """mmseg's schedules end at 1e-4, which is where SLaK's begins."""
    swap = swapped(CONFIGS['upernet'][0], 'slak_t')
    (schedule,) = swap.config['param_scheduler']
    assert schedule['eta_min'] == 1e-6

    rate = swap.config['optim_wrapper']['optimizer']['lr']
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], rate)
    scheduler = PolyLR(optimizer, eta_min=schedule['eta_min'], power=0.9, end=10, by_epoch=False)

    for _ in range(10):
        optimizer.step()
        scheduler.step()

    assert optimizer.param_groups[0]['lr'] == pytest.approx(1e-6)
    assert swapped(CONFIGS['upernet'][0], keep_optimizer=True).config['param_scheduler'][0]['eta_min'] == 1e-4


def test_an_adamw_keeps_its_rates_and_loses_what_was_about_the_old_backbone():
    before = read_host_config(MMSEG / 'mask2former/mask2former_swin-t_8xb2-90k_cityscapes-512x1024.py')
    after = swap_backbone(before, 'slak_t').config['optim_wrapper']
    assert after['optimizer'] == before.optim_wrapper.optimizer
    assert after['constructor'] == 'lkdense.LayerDecayOptimWrapperConstructor'
    assert after['paramwise_cfg']['decay_rate'] == 0.9

    keys = before.optim_wrapper.paramwise_cfg.custom_keys
    assert 'relative_position_bias_table' in keys
    assert 'backbone.stages.0.blocks.0.norm' in keys
    assert set(after['paramwise_cfg']['custom_keys']) == {'query_embed', 'query_feat', 'level_embed', 'backbone.norm'}


def test_a_backbone_without_layer_decay_leaves_the_slower_rate_of_the_whole_one():
    after = swapped(CONFIGS['deformable_detr'][0], 'replknet_31b').config['optim_wrapper']
    assert 'constructor' not in after
    assert after['paramwise_cfg']['norm_decay_mult'] == 0
    assert after['paramwise_cfg']['custom_keys']['backbone'] == dict(lr_mult=0.1)


def test_the_user_may_choose():
    path = CONFIGS['retinanet'][0]
    swap = swapped(path, 'slak_t', keep_optimizer=True, drop_path_rate=0.1)
    assert swap.config['optim_wrapper'] == read_host_config(path).optim_wrapper
    assert swap.config['model']['backbone']['drop_path_rate'] == 0.1


def test_a_width_that_cannot_be_told_is_asked_for(tmp_path):
    path = derive(tmp_path / 'odd.py', CONFIGS['upernet'][0], 'model = dict(auxiliary_head=dict(in_channels=99))')
    with pytest.raises(SwapError, match=r'--set model\.auxiliary_head\.in_channels=') as caught:
        swapped(path)
    assert caught.value.kind == 'undecided'

    swap = swapped(path, chosen_widths={'model.auxiliary_head.in_channels': 332})
    assert swap.config['model']['auxiliary_head']['in_channels'] == 332

    for wrong in ('model.auxiliary_hed.in_channels', 'model.decode_head.channels', 'model.backbone.7'):
        with pytest.raises(SwapError, match=f'--set {wrong}: no width'):
            swapped(path, chosen_widths={'model.auxiliary_head.in_channels': 332, wrong: 5})


def test_images_of_more_channels_are_refused(tmp_path):
    path = derive(tmp_path / 'four.py', CONFIGS['upernet'][0], 'model = dict(backbone=dict(in_channels=4))')
    with pytest.raises(SwapError, match='ResNetV1c reads images of 4 channels, our backbones of 3'):
        swapped(path)


def test_a_backbone_that_is_not_installed_can_be_described(tmp_path):
    changes = """custom_imports = dict(imports='absent.models', allow_failed_imports=False)
model = dict(backbone=dict(_delete_=True, type='absent.Net'), decode_head=dict(in_channels=[96, 192, 384, 768]),
             auxiliary_head=dict(in_channels=384))"""
    path = derive(tmp_path / 'absent.py', CONFIGS['upernet'][0], changes)
    with pytest.raises(SwapError, match=r'absent\.Net cannot be built.*--their-maps'):
        swapped(path)

    config = swapped(path, their_maps=Maps((4, 8, 16, 32), (96, 192, 384, 768))).config
    assert config['model']['decode_head']['in_channels'] == ALL
    assert config['custom_imports'] is None


@pytest.mark.parametrize(
    ('change', 'widths'),
    [
        (dict(), (96, 192, 384, 768)),
        (dict(out_indices=[1, 3]), (192, 768)),
        (dict(type='mmpretrain.PoolFormer', arch='s12', out_indices=(0, 2, 4, 6)), (64, 128, 320, 512)),
        (dict(gap_before_final_norm=True), None),
        (dict(arch='unheard of'), None),
        (dict(out_indices=-1), None),
        (dict(type='mmpretrain.ResNet'), None),
    ],
)
def test_maps_of_backbones_of_mmpretrain(change, widths):
    backbone = dict(type='mmpretrain.ConvNeXt', arch='tiny', out_indices=(0, 1, 2, 3), gap_before_final_norm=False)
    maps = look_up_maps(backbone | change)
    assert (maps and maps[1]) == widths
    if widths and len(widths) == 4:
        assert maps[0] == (4, 8, 16, 32)


@pytest.mark.parametrize('by_phrases', [True, False])
def test_features_in_place_of_a_language_model(by_phrases):
    """As mmdetection's BertModel returns them: with phrases each token has a mask of its own."""
    model = TextStub(use_sub_sentence_represent=by_phrases)
    features = model(['a shape.', 'another one.'])
    tokens = features['embedded'].shape[1]

    assert features['masks'].shape == ((2, tokens, tokens) if by_phrases else (2, tokens))
    assert ('text_token_mask' in features) == by_phrases
    assert model.tokenizer(['a shape.']).char_to_token(0) < model.tokenizer(['a shape.']).char_to_token(6) < tokens


def test_a_language_model_is_not_downloaded(monkeypatch):
    monkeypatch.setattr('lkdense.swap.smoke_test.build_model', lambda cfg: MODELS.build(cfg.model.language_model))
    language_model = dict(type='BertModel', name='bert-base-uncased', use_sub_sentence_represent=True)
    model = build_offline(Config(dict(model=dict(language_model=language_model))))

    assert isinstance(model, TextStub)
    assert model.by_phrases


def test_a_note_says_that_dilation_is_lost():
    notes = ' '.join(swapped(CONFIGS['deeplabv3plus'][0]).notes)
    assert 'strides 4, 8, 8, 8, held back by dilation' in notes
    assert 'of the new backbone at 4, 8, 16, 32' in notes


def test_nothing_of_the_old_backbone_is_left():
    config = swapped(MMDET / 'cityscapes/mask-rcnn_r50_fpn_1x_cityscapes.py').config
    assert config['load_from'] is None

    keys = set()
    for part in dicts_in(config['model']):
        keys |= set(part)

    assert not keys & {'frozen_stages', 'norm_eval', 'style', 'depth'}
    assert 'open-mmlab' not in str(config['model'])


def test_the_command_writes_a_short_config_and_prints_the_cost(small_upernet, capsys):
    main(['swap', small_upernet, 'slak_pico', '--shape', '64', '64'])

    output = capsys.readouterr().out
    assert 'model.decode_head.in_channels: [64, 128, 256, 512] -> [83, 166, 332, 665]' in output
    assert 'model.backbone: ' in output
    assert 'note: the new backbone starts from random weights' in output
    assert 'GMAC at 64x64' in output

    text = Path('mine_slak_pico.py').read_text()
    assert "_base_ = 'mine.py'" in text
    assert "backbone=dict(_delete_=True, type='lkdense.SLaK', arch='pico', drop_path_rate=0.0)" in text
    assert len(text.splitlines()) < 20

    with pytest.raises(SystemExit, match=r'mine_slak_pico\.py is there already'):
        main(['swap', small_upernet, 'slak_pico'])


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--checkpoint', 'nothere.pth'], 'there is no checkpoint nothere.pth'),
        (['--checkpoint', OFFICIAL], r'What would fit it: .*SLaK'),
        (['-o', 'nowhere/new.py'], 'there is no folder nowhere'),
    ],
)
def test_the_command_refuses_what_would_not_work_later(options, message, small_upernet):
    with pytest.raises(SystemExit, match=message):
        main(['swap', small_upernet, 'slak_pico', *options])

    assert [path.name for path in Path().iterdir()] == [small_upernet]


def test_the_command_takes_a_config_of_ours_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main(['swap', 'upernet_slak_pico_ade20k', 'convnext_pico', '--shape', '64', '64'])
    assert "type='lkdense.ConvNeXt'" in Path('upernet_slak_pico_ade20k_convnext_pico.py').read_text()


def test_the_command_warns_of_an_optimizer_that_cannot_be_built(tmp_path, monkeypatch, capsys):
    """The constructor in the config knows the host's own backbones only."""
    monkeypatch.chdir(tmp_path)
    heads = 'model = dict(decode_head=dict(channels=16), auxiliary_head=dict(channels=16))'
    derive(Path('convnext.py'), CONFIGS['convnext'][0], heads)
    main(['swap', 'convnext.py', 'slak_pico', '--keep-optimizer', '--shape', '64', '64'])

    output = capsys.readouterr().out
    assert 'cannot be trained yet, because its optimizer cannot be built: NotImplementedError' in output


@pytest.mark.parametrize(
    'value',
    [
        1e-4,
        'text',
        (3,),
        [],
        {},
        dict(a=[1, 2], b=dict(c=None, lambda_=0.5)),
        {'backbone.norm': dict(lr_mult=0.1), 'lambda': 1},
        dict(long=[dict(name='x' * 40, value=(1, 2, 3)) for _ in range(5)], other={'a b': ['y' * 60] * 3}),
    ],
)
def test_what_is_written_is_what_was_meant(value):
    text = render_value(value, 0, 0)
    assert eval(text) == value
    assert max(map(len, text.splitlines())) <= 100
