"""Train, test and show two small models on synthetic data: minutes on a CPU, nothing to download.

Example: python dev/demo.py
Everything is written into the folder demo/.
"""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.patches import Patch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, DefaultScope
from mmengine.runner import load_checkpoint

from lkdense.commands import exit_on_user_error
from lkdense.config import register_all_of, without_onedl_notice
from lkdense.data.synthetic import write_scenes

FOLDER = Path('demo')
TOOLS = Path(__file__).resolve().parents[1] / 'tools'
# Task: layout of its data, config, and its metrics with their names in the table.
TASKS = {
    'segmentation': ('ade20k', 'configs/examples/upernet_slak_pico_shapes.py', {'mIoU': 'mIoU'}),
    'detection': (
        'coco',
        'configs/examples/cascade_mask_rcnn_slak_pico_shapes.py',
        {'coco/bbox_mAP': 'box AP', 'coco/segm_mAP': 'mask AP'},
    ),
}
IMAGES, SIZE, CLASSES = 250, 128, 2
SHOWN = 5  # images in the picture of each task
SCORE = 0.25  # lowest score of a detection that is drawn
COLORS = plt.get_cmap('Set1').colors


@dataclass
class Result:
    """One row of the table, and what the pictures are drawn from."""

    task: str
    metrics: dict[str, float]
    seconds: float
    parameters: int
    samples: list


def main() -> None:
    started = time.monotonic()
    for layout, _, _ in TASKS.values():
        dataset = write_scenes(layout, FOLDER / 'data', images=IMAGES, size=SIZE, num_classes=CLASSES)
        print(f'{dataset.folder}: {dataset.train} images for training, {dataset.val} for testing', flush=True)
    results = [train_and_test(task) for task in TASKS]
    pictures = [draw(result) for result in results]
    table(results, majority_miou(results[0].samples))
    print(f'\npictures and curves: {", ".join(map(str, pictures))}')
    print(f'{time.monotonic() - started:.0f} seconds in all')


def train_and_test(task: str) -> Result:
    """Run tools/train.py and tools/test.py as a user would."""
    _, config, names = TASKS[task]
    folder = FOLDER / task
    started = time.monotonic()
    run('train.py', config, '--work-dir', folder)
    checkpoint = (folder / 'last_checkpoint').read_text()
    run('test.py', config, checkpoint, '--work-dir', folder / 'test')
    seconds = time.monotonic() - started
    measured = json.loads(newest(folder / 'test', '*/*.json').read_text())
    parameters, samples = predict(config, checkpoint)
    metrics = {text: measured[name] for name, text in names.items()}

    return Result(task, metrics, seconds, parameters, samples)


def run(tool: str, *arguments) -> None:
    command = [sys.executable, TOOLS / tool, *arguments]
    print(f'\n$ python tools/{tool} {" ".join(map(str, arguments))}', flush=True)

    with subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as child:
        lines = []
        for line in child.stdout:
            lines.append(line)
            # The lines of steps show that it moves; the rest of the log is long.
            if any(mark in line for mark in ('(train)', '(val)', '(test)')):
                print(line.partition(' - INFO - ')[2].rstrip()[:150], flush=True)

    if child.returncode:
        raise SystemExit(f'demo: tools/{tool} failed:\n{"".join(lines[-30:])}')


def predict(config: str, checkpoint: str) -> tuple[int, list]:
    """Return the number of parameters, and every test image with its truth and the model's prediction."""
    cfg = Config.fromfile(config)
    with without_onedl_notice():
        register_all_of(cfg.default_scope)

    with DefaultScope.overwrite_default_scope(cfg.default_scope), torch.inference_mode():
        cfg.model.backbone.pop('init_cfg', None)
        model = MODELS.build(cfg.model).eval()
        load_checkpoint(model, checkpoint, map_location='cpu')

        samples = []
        for sample in DATASETS.build(cfg.test_dataloader.dataset):
            image = sample['inputs'].flip(0).permute(1, 2, 0).numpy()
            prediction = model.test_step(pseudo_collate([sample]))[0]
            samples.append((image, prediction))

    return sum(parameter.numel() for parameter in model.parameters()), samples


def majority_miou(samples: list) -> float:
    """Return the mIoU in percent of always predicting the class that most pixels have."""
    truth = np.concatenate([sample.gt_sem_seg.data.numpy().ravel() for _, sample in samples])
    pixels = np.bincount(truth[truth != 255])
    return 100 * pixels.max() / pixels.sum() / np.count_nonzero(pixels)


def table(results: list[Result], majority: float) -> None:
    print(f'\n{"":14}{"measured":34}{"without learning":20}{"seconds":>8}{"parameters":>12}')
    for result in results:
        figures = []
        for name, value in result.metrics.items():
            figures.append(f'{name} {value:.1f} %' if name == 'mIoU' else f'{name} {value:.3f}')

        measured = ', '.join(figures)
        floor = f'mIoU {majority:.1f} %' if 'mIoU' in result.metrics else 'mAP 0.000'
        print(f'{result.task:14}{measured:34}{floor:20}{result.seconds:8.0f}{result.parameters / 1e6:10.1f} M')


def draw(result: Result) -> Path:
    """Write input, truth and prediction side by side, and the curves below; return the picture's path."""
    figure = plt.figure(figsize=(2.2 * SHOWN, 9.5), layout='constrained')
    top, bottom = figure.subfigures(2, height_ratios=(3, 1.3))
    axes = top.subplots(3, SHOWN, subplot_kw=dict(xticks=[], yticks=[]))
    for column, (image, sample) in zip(axes.T, result.samples):
        for axis in column:
            axis.imshow(image)
        if result.task == 'segmentation':
            draw_labels(column[1], sample.gt_sem_seg.data[0].numpy())
            draw_labels(column[2], sample.pred_sem_seg.data[0].numpy())
        else:
            draw_instances(column[1], sample.gt_instances)
            draw_instances(column[2], sample.pred_instances[sample.pred_instances.scores > SCORE])

    for axis, name in zip(axes[:, 0], ('input', 'truth', 'prediction')):
        axis.set_ylabel(name)

    # The first class is the wall, which is not drawn.
    names = Config.fromfile(TASKS[result.task][1]).metainfo['classes'][-CLASSES:]
    handles = [Patch(color=color, label=name) for name, color in zip(names, COLORS)]
    figure.legend(handles=handles, loc='outside upper center', ncols=CLASSES, frameon=False)
    draw_curves(bottom.subplots(), result)
    path = FOLDER / f'{result.task}.png'
    figure.savefig(path, dpi=110)
    plt.close(figure)

    return path


def draw_labels(axis: plt.Axes, labels: np.ndarray) -> None:
    # Label 0 is the wall, and 255 are pixels that do not count.
    for label in range(1, len(COLORS)):
        fill(axis, labels == label, COLORS[label - 1])


def draw_instances(axis: plt.Axes, instances) -> None:
    # The truth has its masks in a class of its own.
    masks = getattr(instances.masks, 'masks', instances.masks)
    for label, box, mask in zip(instances.labels.tolist(), instances.bboxes, masks):
        left, top, right, bottom = getattr(box, 'tensor', box).flatten().tolist()
        axis.add_patch(plt.Rectangle((left, top), right - left, bottom - top, fill=False, color=COLORS[label]))
        fill(axis, np.asarray(mask, dtype=bool), COLORS[label])


def fill(axis: plt.Axes, mask: np.ndarray, color: tuple[float, ...]) -> None:
    overlay = np.zeros((*mask.shape, 4))
    overlay[mask] = (*color, 0.6)
    axis.imshow(overlay)


def draw_curves(axis: plt.Axes, result: Result) -> None:
    scalars = newest(FOLDER / result.task, '*/vis_data/scalars.json')
    rows = [json.loads(line) for line in scalars.read_text().splitlines()]
    losses = [(row['step'], row['loss']) for row in rows if 'loss' in row]
    axis.plot(*zip(*losses), color='tab:gray')
    axis.set(xlabel='iteration', ylabel='training loss (grey)')
    other = axis.twinx()

    for name, text in TASKS[result.task][2].items():
        # Validation counts iterations in one task and epochs in the other.
        values = [row[name] for row in rows if name in row]
        steps = np.linspace(0, losses[-1][0], len(values) + 1)[1:]
        other.plot(steps, values, marker='o', label=text)

    # The last values would be cut without room above.
    other.set_ylim(0, 1.15 * other.get_ylim()[1])
    other.set_ylabel('mIoU on test images, %' if result.task == 'segmentation' else 'mAP on test images')
    other.legend(loc='upper center', ncols=2)


def newest(folder: Path, pattern: str) -> Path:
    """Return the file below ``folder`` that was written last."""
    return max(folder.glob(pattern), key=lambda path: path.stat().st_mtime)


if __name__ == '__main__':
    exit_on_user_error(main, 'demo.py')
