"""What MMEngine keeps beside the weights of a training: logged values and the functions that sum them up."""

from pickle import UnpicklingError

from mmengine.logging import HistoryBuffer

from ..checkpoints.file import allow


def statistic(owner: type, name: str) -> object:
    """Stand in for ``getattr`` in a checkpoint, where it is needed for the functions of ``HistoryBuffer`` alone.

    Raises:
        UnpicklingError: anything else.
    """
    if owner is not HistoryBuffer or name.startswith('_'):
        raise UnpicklingError(f'refused to look up {name} of {owner}')
    return getattr(owner, name)


allow(HistoryBuffer)
allow(statistic, 'builtins.getattr')
