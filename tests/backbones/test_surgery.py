"""Altered backbones from a config: they begin as the host's from its checkpoint, train, resume, and merge."""

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope

from lkdense.commands import main
from lkdense.config import read_config
from lkdense.data.synthetic import write_scenes
from lkdense.layers.enlarge import EnlargedDepthwise
from lkdense.models import load_model
from lkdense.training.runner import CompleteCheckpointHook, ToolRunner

pytest.importorskip('mmdet.utils')
SMALL = dict(depths=(1, 1, 2, 1), dims=(8, 16, 24, 32))
CONFIG = 'ablations/deeplabv3plus_mobilenetv2_k13_small_cityscapes'
BACKBONES = {
    'mmseg': dict(
        type='MobileNetV2', widen_factor=0.25, strides=(1, 2, 2, 2, 1, 1, 1), dilations=(1, 1, 1, 1, 1, 2, 2)
    ),
    'mmdet': dict(type='CSPNeXt', deepen_factor=0.33, widen_factor=0.25),
    'lkdense': dict(type='lkdense.ConvNeXt', arch=SMALL),
}


def build(config, scope='mmseg'):
    with DefaultScope.overwrite_default_scope(scope):
        return MODELS.build(config)


def evaluating(model):
    # train() and eval() of mmseg's MobileNetV2 return nothing.
    model.eval()
    return model


def enlarged(backbone, **options):
    return dict(type='lkdense.Enlarged', backbone=backbone, **{'sizes': 13, **options})


def assert_same(a, b, tolerance=1e-5):
    for one, other in zip(a, b, strict=True):
        assert (one - other).abs().max() <= tolerance * other.abs().max()


@pytest.fixture(params=BACKBONES)
def host(request, randomize_norms, tmp_path):
    """A host's backbone as a config, its scope, and its checkpoint and maps before it is enlarged."""
    scope = 'mmdet' if request.param == 'mmdet' else 'mmseg'
    read_config('ablations/deeplabv3plus_mobilenetv2_cityscapes' if scope == 'mmseg' else 'fcos_replknet_31b_coco')

    config = BACKBONES[request.param]
    model = evaluating(randomize_norms(build(config, scope)))
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'before.pth')

    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        return config, scope, tmp_path / 'before.pth', image, model(image)


def test_it_begins_as_the_checkpoint_from_before(host):
    config, scope, checkpoint, image, expected = host
    init_cfg = dict(type='Pretrained', checkpoint=str(checkpoint))
    model = build(enlarged(dict(config, init_cfg=init_cfg)), scope)
    # Some callers initialise it outside the scope in which it was built.
    model.init_weights()

    with torch.no_grad():
        assert_same(evaluating(model)(image), expected)

    whole = evaluating(build(enlarged(config), scope))
    whole.load_state_dict(torch.load(checkpoint)['state_dict'])
    with torch.no_grad():
        assert_same(whole(image), expected)


def test_without_a_checkpoint_it_begins_as_the_host_would(host):
    config, scope, _, image, _ = host
    torch.manual_seed(1)
    model = evaluating(build(enlarged(config, small_kernel=3), scope))
    torch.manual_seed(2)
    model.init_weights()
    torch.manual_seed(2)
    before = evaluating(build(config, scope))
    before.init_weights()

    with torch.no_grad():
        assert_same(model(image), before(image))


def test_gradients_reach_the_new_taps_and_merging_keeps_the_output(host):
    config, scope, _, image, _ = host
    model = build(enlarged(config), scope)
    model.init_weights()
    # At stride 32 the map is 8 x 8, so the outer taps, 6 pixels from the middle, still meet it.
    sum(output.square().mean() for output in model(torch.randn(2, 3, 256, 256))).backward()

    layers = [layer for layer in model.modules() if isinstance(layer, EnlargedDepthwise)]
    assert layers
    for layer in layers:
        assert layer.weight.grad[:, :, 0, 0].abs().sum() > 0 and layer.small.weight.grad.abs().sum() > 0
        layer.small.weight.data.normal_(std=0.01)

    model.eval()
    with torch.no_grad():
        expected = model(image)
        model.switch_to_deploy()
        model.switch_to_deploy()
        assert not any(isinstance(layer, EnlargedDepthwise) for layer in model.modules())
        assert_same(model(image), expected)
        deployed = evaluating(build(enlarged(config, deploy=True), scope))
        deployed.load_state_dict(model.state_dict())
        assert_same(deployed(image), expected)


def test_an_official_checkpoint_is_translated_and_a_wrong_one_refused():
    arch = dict(depths=(1, 1, 1, 1), dims=(8, 16, 32, 64))
    weights = build(dict(type='lkdense.ConvNeXt', arch=arch)).state_dict()
    official = {key.replace('.depthwise.', '.dwconv.'): value for key, value in weights.items()}
    model = build(enlarged(dict(type='lkdense.ConvNeXt', arch=arch), sizes={r'stages\.[12]': 31}))
    model.load_state_dict(official)
    middle = model.stages[1][0].depthwise.weight[:, :, 12:19, 12:19]
    assert torch.equal(middle, weights['stages.1.0.depthwise.weight'])
    assert model.stages[0][0].depthwise.kernel_size == (7, 7)

    del official['stages.1.0.dwconv.weight']

    with pytest.raises(ValueError, match=r'stages\.1\.0\.depthwise\.weight is missing'):
        model.load_state_dict(official)


def test_layer_decay_and_freezing_reach_it():
    model = build(enlarged(dict(type='lkdense.ConvNeXt', arch=SMALL, frozen_stages=1)))
    assert model.get_layer_depth('backbone.stages.3.0.depthwise.small.weight', 'backbone.') == (4, 6)
    assert model.out_channels == (8, 16, 24, 32)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert 'stages.0.0.depthwise.small.weight' not in trained and 'stages.1.0.depthwise.small.weight' in trained


def test_shortcuts_are_switched_off():
    plain = evaluating(build(dict(type='WithoutShortcuts', backbone=BACKBONES['mmseg'])))
    block = plain.layer3[1]
    x = torch.randn(1, 8, 8, 8)
    assert torch.equal(block(x), block.conv(x))

    both = build(enlarged(dict(type='WithoutShortcuts', backbone=BACKBONES['mmseg'])))
    assert not both.layer3[1].use_res_connect and both.layer3[1].conv[1].conv.kernel_size == (13, 13)

    with pytest.raises(ValueError, match='no block of this ConvNeXt has one of use_res_connect'):
        build(dict(type='WithoutShortcuts', backbone=dict(type='ConvNeXt', arch=SMALL)))


NARROW = {
    'model.decode_head.channels': 8,
    'model.decode_head.in_channels': 80,
    'model.decode_head.c1_in_channels': 8,
    'model.auxiliary_head.channels': 8,
    'model.auxiliary_head.in_channels': 24,
}
BEFORE = {'model.backbone.widen_factor': 0.25, **NARROW}
AFTER = {'model.backbone.backbone.widen_factor': 0.25, **NARROW}
# Two iterations on images of 64x64, each with a checkpoint.
SHORT = {
    **AFTER,
    'model.data_preprocessor.size': (64, 64),
    'model.backbone.backbone.init_cfg': dict(type='Pretrained', checkpoint='before.pth'),
    'train_dataloader.num_workers': 0,
    'train_dataloader.persistent_workers': False,
    'train_dataloader.dataset.pipeline.2.scale': (128, 64),
    'train_dataloader.dataset.pipeline.3.crop_size': (64, 64),
    'train_cfg.max_iters': 2,
    'optim_wrapper.optimizer.lr': 0.1,
    'default_hooks.checkpoint': dict(interval=1, save_best=None, max_keep_ckpts=2),
    'custom_hooks': [dict(type='EMAHook')],
    **dict.fromkeys(('val_dataloader', 'val_cfg', 'val_evaluator')),
}


def short_training(work_dir, **changes):
    runner = ToolRunner.from_cfg(read_config(CONFIG, {**SHORT, 'work_dir': work_dir, **changes}))
    if changes:
        runner.register_hook(CompleteCheckpointHook())
    runner.train()

    return torch.load(f'{work_dir}/iter_2.pth', weights_only=False)


def test_it_trains_from_an_old_checkpoint_resumes_and_deploys(tmp_path, monkeypatch):
    write_scenes('cityscapes', tmp_path / 'data', images=4, size=64)
    monkeypatch.chdir(tmp_path)
    before = load_model(read_config('ablations/deeplabv3plus_mobilenetv2_cityscapes', BEFORE)).backbone.state_dict()
    torch.save(before, 'before.pth')
    trained = short_training('work')
    resumed = short_training('again', load_from='work/iter_1.pth', resume=True)

    for part in ('state_dict', 'ema_state_dict'):
        assert trained[part].keys() == resumed[part].keys()
        assert all(torch.equal(value, resumed[part][name]) for name, value in trained[part].items()), part

    # The dilated 3x3 kernel lies in the middle; the taps around it that meet the map of 4 x 4 have learned.
    layer = 'layer6.0.conv.1.conv'
    weight = trained['ema_state_dict'][f'module.backbone.{layer}.weight']
    assert torch.allclose(weight[:, :, 4:9:2, 4:9:2], before[f'{layer}.weight'], atol=0.05)
    assert 0 < weight[:, :, 3, 3].abs().max() < 0.05

    model = load_model(read_config(CONFIG, AFTER), 'work/iter_2.pth')
    image = torch.randn(1, 3, 64, 64)

    with torch.no_grad():
        expected = model(image, mode='tensor')
        options = [f'{key}={value}' for key, value in AFTER.items()]
        main(['deploy', CONFIG, 'work/iter_2.pth', 'deployed.pth', '--cfg-options', *options])
        deployed = load_model(read_config(CONFIG, {**AFTER, 'model.backbone.deploy': True}), 'deployed.pth')
        assert_same([deployed(image, mode='tensor')], [expected])
