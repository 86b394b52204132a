"""All cells of a study: one after another or several at a time on this machine, or as jobs of a cluster."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread

from ..errors import UserError
from .cell import run_cell, stop_trainings

Tell = Callable[[str, dict | Exception], None]


def run_here(folders: Sequence[Path], jobs: int, tell: Tell) -> None:
    """Run cells on this machine; one that fails does not stop the others.

    Args:
        folders: of the cells.
        jobs: how many run at a time; they share the processor's cores evenly.
        tell: is called with the name of each cell that ends, and its result or what went wrong.
    """
    threads = max(1, (os.cpu_count() or 1) // jobs)
    # not threads: registries, random numbers and what is printed belong to a whole process
    pool = ProcessPoolExecutor(jobs, get_context('spawn'), initializer=_end_with_parent)
    running = {pool.submit(run_cell, folder, threads): folder.name for folder in folders}
    try:
        for future in as_completed(running):
            tell(running[future], future.exception() or future.result())
    finally:
        pool.shutdown(cancel_futures=True)


def run_in_cluster(folders: Sequence[Path], cluster: str, jobs: int, options: dict, tell: Tell) -> None:
    """Submit cells as an array of jobs through submitit, and wait for them.

    Args:
        folders: of the cells, on a disk that all machines share.
        cluster: ``slurm``, or ``local`` for processes on this machine.
        jobs: how many run at a time.
        options: parameters of submitit, such as ``dict(slurm_partition='gpu', timeout_min=60)``.
        tell: as in :func:`run_here`.

    Raises:
        UserError: submitit is not installed.
    """
    try:
        import submitit
    except ImportError:
        raise UserError("a cluster takes submitit: pip install 'lkdense[study]'") from None
    executor = submitit.AutoExecutor(folder=folders[0].parent.parent / 'jobs', cluster=cluster)
    executor.update_parameters(**({'slurm_array_parallelism': jobs} if cluster == 'slurm' else {}), **options)
    submitted = executor.map_array(run_cell, [folder.resolve() for folder in folders])
    for job, folder in zip(submitted, folders):
        tell(folder.name, job.exception() or job.result())


def _end_with_parent() -> None:
    """End this process and its training with the one that started it, however that ends."""

    def watch() -> None:
        parent_process().join()
        stop_trainings()
        os._exit(1)

    Thread(target=watch, daemon=True).start()
