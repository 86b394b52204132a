"""Which backends to try for which tensor, best first."""

from torch import Tensor


def preference(x: Tensor, weight: Tensor) -> tuple[str, ...]:
    """Return backend names in the order in which they should be asked; the last one refuses nothing."""
    return ('eager',)
