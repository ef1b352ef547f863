"""Jobs in worker processes that live on from job to job, where the death of one costs one job only."""

import contextlib
import multiprocessing
import os
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from tqdm.auto import tqdm

Job = TypeVar("Job")

ATTEMPTS = 2


def run_in_processes(
    task: Callable[[Job], None],
    jobs: Sequence[Job],
    workers: int,
    *,
    initializer: Callable[[], None] | None = None,
    environment: Mapping[str, str] | None = None,
    description: str = "jobs",
) -> dict[int, str]:
    """Run a task on every job; one that raises, or kills its process, is tried once more.

    Parameters
    ----------
    task : callable
        Importable function of a module.
    jobs : sequence
        Picklable.
    workers : int
        Number of processes.
    initializer : callable, optional
        Importable function, called once in each process.
    environment : mapping of str, optional
        Environment variables of the processes.
    description : str
        Of the progress bar.

    Returns
    -------
    dict
        Reason by position of the job, of those that failed twice.
    """
    if not jobs:
        return {}
    workers = min(workers, len(jobs))
    slots = _Slots(workers, initializer)
    failures = {}
    with _environment(environment or {}), slots, ThreadPoolExecutor(workers) as threads:
        futures = {threads.submit(slots.run, task, job): position for position, job in enumerate(jobs)}
        for future in tqdm(as_completed(futures), total=len(jobs), desc=description):
            if reason := future.result():
                failures[futures[future]] = reason
    return failures


class _Slots:
    """One single-process pool per worker: a pool of several would lose all running jobs when one process dies."""

    def __init__(self, workers: int, initializer: Callable[[], None] | None) -> None:
        self.initializer = initializer
        self.free: queue.Queue[ProcessPoolExecutor] = queue.Queue()
        for _ in range(workers):
            self.free.put(self._start())

    def _start(self) -> ProcessPoolExecutor:
        # Spawned, not forked: TensorFlow's threads do not survive a fork.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(1, context, initializer=_initialise, initargs=(self.initializer,))

    def run(self, task: Callable[[Job], None], job: Job) -> str:
        """Return the reason of the last failure, or an empty string."""
        reason = ""
        for _ in range(ATTEMPTS):
            executor = self.free.get()
            try:
                executor.submit(task, job).result()
                return ""
            except BrokenProcessPool:
                reason = "its process died (killed, or out of memory)"
                executor = self._start()
            except Exception as error:
                reason = f"{type(error).__name__}: {error}"
            finally:
                self.free.put(executor)
        return reason

    def __enter__(self) -> "_Slots":
        return self

    def __exit__(self, *_: object) -> None:
        while not self.free.empty():
            self.free.get().shutdown(cancel_futures=True)


def _initialise(initializer: Callable[[], None] | None) -> None:
    threading.Thread(target=_follow_parent, daemon=True).start()
    if initializer is not None:
        initializer()


def _follow_parent() -> None:
    # A parent that is killed outright cannot stop its workers, and they would wait for jobs for ever.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
