"""Top-1 and top-5 accuracy."""

from collections.abc import Sequence

from mmengine.evaluator import BaseMetric


class Accuracy(BaseMetric):
    """The share of images, in percent, whose class is among the k of the highest scores.

    Args:
        topk: values of k; one that exceeds the number of classes is 100.
        **kwargs: of :class:`mmengine.evaluator.BaseMetric`.
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
        return {f'top{k}': 100 * sum(rank < k for rank in results) / max(len(results), 1) for k in self.topk}
