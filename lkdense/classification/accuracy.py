"""Top-1 and top-5 accuracy."""

from collections.abc import Sequence

from mmengine.evaluator import BaseMetric


class Accuracy(BaseMetric):
    """The share of images, in percent, whose class is among the k highest scores.

    >>> import torch
    >>> metric = Accuracy(topk=(1, 2))
    >>> metric.process({}, [dict(scores=torch.tensor([0.1, 0.7, 0.2]), label=2)])
    >>> metric.evaluate(1)
    {'accuracy/top1': 0.0, 'accuracy/top2': 100.0}

    Args:
        topk: the values of k; the accuracy is 100 where k exceeds the number of classes.
        **kwargs: arguments of :class:`mmengine.evaluator.BaseMetric`.
    """

    default_prefix = 'accuracy'

    def __init__(self, topk: Sequence[int] = (1, 5), **kwargs):
        super().__init__(**kwargs)
        self.topk = tuple(topk)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep the rank of the true class of each image."""
        for sample in data_samples:
            scores = sample['scores']
            self.results.append(int((scores > scores[sample['label']]).sum()))

    def compute_metrics(self, results: list[int]) -> dict[str, float]:
        """Return ``{'top1': percent, ...}``."""
        metrics = {}
        for k in self.topk:
            correct = sum(rank < k for rank in results)
            metrics[f'top{k}'] = 100 * correct / max(len(results), 1)

        return metrics
