"""Distillation: the losses by hand, a teacher that stays as it is, and a checkpoint that holds the student alone."""

import copy
import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner
from torch.utils.data import Dataset

from lkdense.config import read_config
from lkdense.models import load_model
from lkdense.training.distillation import attention_loss, nkd_loss, soft_loss

SMALL = dict(depths=(1, 1, 1, 1), dims=(8, 8, 8, 8))
BACKBONE = dict(type='ConvNeXt', arch=SMALL, out_indices=(3,), norm_outputs=False)
STUDENT = dict(type='ImageClassifier', backbone=BACKBONE, num_classes=5)


@pytest.fixture
def teacher(tmp_path):
    """A classifier with large kernels, as a config and a checkpoint."""
    backbone = dict(BACKBONE, type='SLaK', kernel_sizes=(13, 11, 9, 7))
    model = dict(STUDENT, backbone=backbone)
    (tmp_path / 'teacher.py').write_text(f'default_scope = "mmengine"\nmodel = {model!r}\n')
    torch.manual_seed(7)
    with torch.no_grad():
        weights = MODELS.build(model).state_dict()
        # Larger scores make it sure of one class.
        weights['head.weight'] *= 100

    torch.save(weights, tmp_path / 'teacher.pth')
    return dict(config=str(tmp_path / 'teacher.py'), checkpoint=str(tmp_path / 'teacher.pth'))


def distilled(teacher, **options):
    torch.manual_seed(1)
    return MODELS.build(dict(type='Distilled', student=STUDENT, teacher=teacher, **options))


def test_the_soft_loss_by_hand():
    student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[2 * math.log(3), 0.0]])
    # At temperature 2 the teacher's classes have these probabilities, and the student's 0.5 each.
    p = torch.tensor([0.75, 0.25])
    expected = 4 * (p * (p / 0.5).log()).sum()

    torch.testing.assert_close(soft_loss(student, teacher, temperature=2.0), expected)
    assert soft_loss(teacher, teacher) == 0


def test_the_soft_loss_of_maps_is_the_mean_over_pixels():
    student, teacher = torch.randn(2, 4, 3, 5), torch.randn(2, 4, 3, 5)
    pixels = []
    for n, y, x in itertools.product(range(2), range(3), range(5)):
        pixels.append(soft_loss(student[n, :, y, x][None], teacher[n, :, y, x][None]))

    torch.testing.assert_close(soft_loss(student, teacher), torch.stack(pixels).mean())


def test_nkd_by_hand():
    student, teacher = torch.randn(1, 3), torch.randn(1, 3)
    s, t = student.softmax(1)[0], teacher.softmax(1)[0]
    others = -sum(t[i] / (1 - t[1]) * torch.log(s[i] / (1 - s[1])) for i in (0, 2))
    expected = -t[1] * torch.log(s[1]) + 1.5 * others
    torch.testing.assert_close(nkd_loss(student, teacher, torch.tensor([1])), expected)


def test_attention_does_not_depend_on_widths_and_scales():
    maps = [torch.rand(2, 4, 6, 6), torch.rand(2, 8, 3, 3)]
    wider = [3 * torch.cat([x, x], 1) for x in maps]
    torch.testing.assert_close(attention_loss(maps, wider), torch.tensor(0.0), rtol=0, atol=1e-6)
    assert attention_loss(maps, [x.flip(3) for x in maps]) > 0.01
    larger = [F.interpolate(x, scale_factor=2) for x in maps]
    assert torch.isfinite(attention_loss(maps, larger))


@pytest.mark.parametrize('options', [dict(), dict(kind='nkd'), dict(temperature=4.0, map_weight=2.0)])
def test_the_losses_compare_with_the_teacher_on_the_same_images(teacher, options):
    model = distilled(teacher, **options)
    alone = MODELS.build(STUDENT)
    alone.load_state_dict(model.state_dict())
    images, labels = torch.randn(4, 3, 32, 32), torch.tensor([0, 1, 2, 3])

    losses = model(images, labels, mode='loss')
    torch.testing.assert_close(losses['loss'], alone(images, labels, mode='loss')['loss'])

    student_scores = alone(images)
    teacher_scores = load_model(Config.fromfile(teacher['config']), teacher['checkpoint'])(images)
    if options.get('kind') == 'nkd':
        expected = nkd_loss(student_scores, teacher_scores, labels)
    else:
        expected = soft_loss(student_scores, teacher_scores, options.get('temperature', 1.0))

    torch.testing.assert_close(losses['loss_distil_scores'], expected)
    assert ('loss_distil_maps' in losses) == ('map_weight' in options)


def test_the_teacher_is_no_part_of_the_student(teacher):
    model = distilled(teacher)
    assert set(model.state_dict()) == set(MODELS.build(STUDENT).state_dict())
    assert not any(parameter.requires_grad for parameter in model.teacher.model.parameters())
    model.train()
    assert not model.teacher.model.training
    assert copy.deepcopy(model).teacher is model.teacher

    before = {key: value.clone() for key, value in model.teacher.model.state_dict().items()}
    sum(model(torch.randn(4, 3, 32, 32), torch.arange(4), mode='loss').values()).backward()
    torch.testing.assert_close(dict(model.teacher.model.state_dict()), before)


def test_building_a_teacher_draws_no_random_numbers(teacher):
    torch.manual_seed(1)
    MODELS.build(STUDENT)
    expected = torch.rand(1)
    distilled(teacher)
    assert torch.rand(1) == expected


def test_mixed_images_go_to_the_teacher_mixed(teacher):
    model = distilled(teacher)
    model.mixup = 0.8
    inputs_of = {}
    for name, backbone in (('student', model.backbone), ('teacher', model.teacher.model.backbone)):
        backbone.register_forward_pre_hook(lambda _, inputs, name=name: inputs_of.update({name: inputs[0]}))

    images = torch.randn(4, 3, 32, 32)
    model(images, torch.arange(4), mode='loss')
    assert torch.equal(inputs_of['student'], inputs_of['teacher'])
    assert not torch.equal(inputs_of['student'], images)


class Squares(Dataset):
    """Images of one brightness for each class."""

    def __len__(self):
        return 40

    def __getitem__(self, index):
        noise = torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(index))
        return dict(inputs=noise + index % 5 - 2, label=index % 5)


def train(teacher, work_dir, weight):
    """Train a student; return how far it is from the teacher then."""
    runner = Runner(
        model=distilled(teacher, score_weight=weight),
        work_dir=str(work_dir),
        train_dataloader=dict(
            dataset=Squares(), batch_size=20, num_workers=0, sampler=dict(type='InfiniteSampler', seed=0)
        ),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=40),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.01)),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=40), logger=None),
        custom_hooks=[dict(type='EMAHook', momentum=0.1)],
        randomness=dict(seed=0),
        log_level='ERROR',
        experiment_name=f'distillation_{weight}',
    )
    runner.train()

    images = torch.stack([Squares()[index]['inputs'] for index in range(20)])
    with torch.no_grad():
        return soft_loss(runner.model.eval()(images), runner.model.teacher.model(images)).item()


def test_a_runner_trains_the_student_towards_the_teacher(teacher, tmp_path):
    assert train(teacher, tmp_path / 'distilled', 20.0) < 0.5 * train(teacher, tmp_path / 'alone', 0.0)
    saved = torch.load(tmp_path / 'distilled/iter_40.pth', weights_only=False)['state_dict']
    MODELS.build(STUDENT).load_state_dict(saved)


def test_segmentors_distil_pixels_and_stages():
    cfg = read_config('upernet_convnext_pico_ade20k')
    model = dict(type='Distilled', student=cfg.model, teacher=dict(config='upernet_slak_pico_ade20k'), map_weight=1.0)
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(model).train()

    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    samples = []
    for _ in range(2):
        sample = SegDataSample(metainfo=dict(img_shape=(64, 64)))
        sample.gt_sem_seg = PixelData(data=torch.randint(0, 150, (1, 64, 64)))
        samples.append(sample)

    losses = model(torch.randn(2, 3, 64, 64), samples, mode='loss')
    assert {'decode.loss_ce', 'aux.loss_ce', 'loss_distil_scores', 'loss_distil_maps'} <= set(losses)

    (losses['loss_distil_scores'] + losses['loss_distil_maps']).backward()
    assert model.backbone.stem[0].weight.grad.abs().sum() > 0
    assert not any('teacher' in key for key in model.state_dict())


def test_what_does_not_fit_is_refused(teacher):
    with pytest.raises(ValueError, match='kind must be one of soft, nkd, got'):
        distilled(teacher, kind='magic')

    cfg = read_config('upernet_convnext_pico_ade20k')
    with DefaultScope.overwrite_default_scope('mmseg'), pytest.raises(ValueError, match='nkd is for classifiers'):
        MODELS.build(dict(type='Distilled', student=cfg.model, teacher=teacher, kind='nkd'))

    other = MODELS.build(dict(type='Distilled', student=dict(STUDENT, num_classes=6), teacher=teacher))
    with pytest.raises(ValueError, match='the teacher scores 5 classes and the student 6'):
        other(torch.randn(2, 3, 32, 32), torch.arange(2), mode='loss')
