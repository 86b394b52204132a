"""Evaluate a checkpoint: mIoU of a segmentor, AP of a detector, accuracy of a classifier.

Example: lkdense test configs/upernet_slak_b_ade20k.py work_dirs/slak_b/iter_160000.pth --show-dir pictures
"""

import argparse
from pathlib import Path

from mmengine.config import Config
from mmengine.hooks import Hook

from ..config import as_list, type_of
from ..errors import UserError
from ..models import unwrap_model
from ..training.runner import CompleteCheckpointHook, ToolRunner
from ._options import add_runner_options, load_runner_config
from ._preflight import check_checkpoint, check_files

# The last line of the output, by the metrics' own names.
HEADLINES = {
    'accuracy/top1': 'top-1 {:.2f} %',
    'accuracy/top5': 'top-5 {:.2f} %',
    'mIoU': 'mIoU {:.2f} %',
    'mAcc': 'mean accuracy {:.2f} %',
    'aAcc': 'pixel accuracy {:.2f} %',
    'coco/bbox_mAP': 'box AP {:.3f}',
    'coco/segm_mAP': 'mask AP {:.3f}',
    'pascal_voc/mAP': 'mAP {:.3f}',
}


class DeployHook(Hook):
    """Merge the backbone's parallel branches once its weights are loaded."""

    def before_test(self, runner: ToolRunner) -> None:
        backbone = unwrap_model(runner.model).backbone
        before = sum(parameter.numel() for parameter in backbone.parameters())

        backbone.switch_to_deploy()

        after = sum(parameter.numel() for parameter in backbone.parameters())
        runner.logger.info(f'{type(backbone).__name__} merged: {before:,} parameters before, {after:,} after')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_runner_options(parser)
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='weights of the whole model, as training writes them')
    parser.add_argument(
        '--out',
        metavar='PATH',
        help='write predictions: detections to this .pkl file, label maps of a segmentor into this folder; with '
        "reduce_zero_label, classes count from 1 there, as ADE20K's server wants them",
    )
    parser.add_argument('--show-dir', metavar='DIR', help='write pictures of the predictions beside the truth')
    parser.add_argument('--tta', action='store_true', help="average over flips and scales, the config's tta_pipeline")
    parser.add_argument('--deploy', action='store_true', help="merge the backbone's parallel branches before testing")


def main(args: argparse.Namespace) -> None:
    cfg = load_runner_config(args)
    check_files(cfg, 'test')
    check_checkpoint(args.checkpoint, 'CHECKPOINT')
    cfg.load_from, cfg.resume = args.checkpoint, False

    if args.out:
        write_predictions(cfg, Path(args.out))
    if args.show_dir:
        write_pictures(cfg, Path(args.show_dir))
    if args.tta:
        augment(cfg)
    if args.deploy:
        # EMAHook would swap weights with a model that is not merged. The checkpoint holds the averaged ones anyway.
        cfg.custom_hooks = [hook for hook in cfg.get('custom_hooks') or [] if type_of(hook) != 'EMAHook']

    runner = ToolRunner.from_cfg(cfg)
    runner.register_hook(CompleteCheckpointHook())

    if args.deploy:
        backbone = unwrap_model(runner.model).backbone
        if not hasattr(backbone, 'switch_to_deploy'):
            raise UserError(f'--deploy: a {type(backbone).__name__} has nothing to merge (no switch_to_deploy)')
        runner.register_hook(DeployHook())

    metrics = runner.test()
    if runner.rank == 0:
        print(headline(metrics))


def write_predictions(cfg: Config, out: Path) -> None:
    metrics = as_list(cfg.test_evaluator)
    if cfg.default_scope == 'mmdet':
        if out.suffix not in ('.pkl', '.pickle'):
            raise UserError(f'--out: predictions of a detector go to a .pkl file, got {out}')
        metrics.append(dict(type='DumpDetResults', out_file_path=str(out)))
    else:
        # Label maps only: scores would be one map for each class.
        writers = [metric for metric in metrics if type_of(metric) == 'IoUMetric']
        if not writers:
            types = ', '.join(metric['type'] for metric in metrics) or 'nothing'
            raise UserError(f'--out: IoUMetric writes label maps, and the test_evaluator has {types}')

        for metric in writers:
            metric.update(output_dir=str(out), keep_results=True)

    cfg.test_evaluator = metrics


def write_pictures(cfg: Config, folder: Path) -> None:
    hook = cfg.default_hooks.get('visualization')
    if not hook:
        raise UserError(f'--show-dir needs a default_hooks.visualization, and {cfg.filename} has none')

    hook.update(draw=True)
    if cfg.default_scope == 'mmdet':
        hook.update(test_out_dir=str(folder.resolve()))
    else:
        cfg.visualizer.save_dir = str(folder.resolve())


def augment(cfg: Config) -> None:
    if not cfg.get('tta_model') or not cfg.get('tta_pipeline'):
        raise UserError(f'--tta needs a tta_model and a tta_pipeline, which {cfg.filename} does not have')

    cfg.model = {**cfg.tta_model, 'module': cfg.model}
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline


def headline(metrics: dict[str, float]) -> str:
    """Return one line with what a table of results would show."""
    figures = [text.format(metrics[name]) for name, text in HEADLINES.items() if name in metrics]

    return ', '.join(figures) or str(metrics)
