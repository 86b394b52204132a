"""Which backends to try for which tensor, best first."""

from torch import Tensor

# kernels with fewer taps are no work worth a detour
SMALL_KERNEL = 3 * 3


def preference(x: Tensor, weight: Tensor) -> tuple[str, ...]:
    """Return backend names in the order in which they should be asked; the last one refuses nothing.

    On a CPU PyTorch takes up to a hundred times longer for the weight gradient of a large kernel than for its output,
    and up to forty times longer for an output in its default memory format than in channels-last; `cpu` avoids both.
    """
    if x.device.type == 'cpu' and weight.shape[2] * weight.shape[3] > SMALL_KERNEL:
        return 'cpu', 'eager'
    return ('eager',)
