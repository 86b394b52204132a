"""All cells of a study: one after another or several at a time on this machine, or as jobs of a cluster."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread

from ..errors import UserError
from .cell import run_cell, stop_trainings

# Receives the name of a cell that has ended, and its result or error.
OnEnd = Callable[[str, dict | Exception], None]


def run_here(folders: Sequence[Path], jobs: int, on_end: OnEnd) -> None:
    """Run cells on this machine; one that fails does not stop the others.

    On the command line: ``lkdense study run DIR --jobs 2``.

    Args:
        folders: one for each cell.
        jobs: how many cells run at a time; they share the processor's cores evenly.
        on_end: called with the name of each cell that ends, and its result or the error.
    """
    threads = max(1, (os.cpu_count() or 1) // jobs)
    # Threads would not do: registries, the random state and standard output belong to a whole process.
    pool = ProcessPoolExecutor(jobs, get_context('spawn'), initializer=_end_with_parent)
    names = {pool.submit(run_cell, folder, threads): folder.name for folder in folders}

    try:
        for future in as_completed(names):
            on_end(names[future], future.exception() or future.result())
    finally:
        pool.shutdown(cancel_futures=True)


def run_in_cluster(folders: Sequence[Path], cluster: str, jobs: int, options: dict, on_end: OnEnd) -> None:
    """Submit cells as an array of jobs through submitit, and wait for them.

    On the command line: ``lkdense study run DIR --cluster slurm --cluster-options timeout_min=60``.

    Args:
        folders: one for each cell, on a disk that all machines share.
        cluster: ``slurm``, or ``local`` for processes on this machine.
        jobs: how many cells run at a time.
        options: parameters of submitit, such as ``dict(slurm_partition='gpu', timeout_min=60)``.
        on_end: as in :func:`run_here`.

    Raises:
        UserError: submitit is not installed.
    """
    try:
        import submitit
    except ImportError:
        raise UserError("a cluster takes submitit: pip install 'lkdense[study]'") from None

    executor = submitit.AutoExecutor(folder=folders[0].parent.parent / 'jobs', cluster=cluster)
    parallelism = {'slurm_array_parallelism': jobs} if cluster == 'slurm' else {}
    executor.update_parameters(**parallelism, **options)
    submitted = executor.map_array(run_cell, [folder.resolve() for folder in folders])

    for job, folder in zip(submitted, folders):
        on_end(folder.name, job.exception() or job.result())


def _end_with_parent() -> None:
    """End this process and its training together with the parent process, even if that is killed."""

    def watch() -> None:
        parent_process().join()
        stop_trainings()
        os._exit(1)

    Thread(target=watch, daemon=True).start()
