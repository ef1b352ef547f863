"""Jobs on Spark, one task each, where the death of a process costs one job a new try. No astronomy in here."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from tqdm.auto import tqdm

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Job = TypeVar("Job")

ATTEMPTS = 2
DIED = "its process died twice (killed, or out of memory)"


def run_jobs(
    spark: "SparkSession",
    work: Callable[[Job], None],
    jobs: Sequence[Job],
    *,
    failed: Callable[[Job, str], None],
    environment: Mapping[str, str] | None = None,
    description: str = "jobs",
) -> None:
    """Carry out a function on every job, one Spark task each; what raises, or kills its process, is tried once more.

    Parameters
    ----------
    spark : SparkSession
        Its master allows four failures of a task, as clusters do by default and ``local[n,4]`` does.
    work : callable
        Importable function of a module; what it finds it writes where all workers can.
    jobs : sequence
        Picklable; started in their order.
    failed : callable
        Importable function; called in a worker with a job that failed twice and the reason.
    environment : mapping of str, optional
        Environment variables of the workers' processes.
    description : str
        Of the progress bar.
    """
    if not jobs:
        return
    context = spark.sparkContext
    context.environment.update(environment or {})
    with _progress(spark, len(jobs), description):
        context.parallelize(jobs, len(jobs)).foreach(partial(_carry_out, work, failed))


def _carry_out(work: Callable[[Job], None], failed: Callable[[Job, str], None], job: Job) -> None:
    from pyspark import TaskContext

    task, reason = TaskContext.get(), ""
    # What raises is caught below, so that another attempt of the task means that a process died.
    if task is not None and task.attemptNumber() >= ATTEMPTS:
        failed(job, DIED)
        return
    for _ in range(ATTEMPTS):
        try:
            work(job)
            return
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
    failed(job, reason)


def assigned_gpu() -> str:
    """Address of the GPU that Spark's resource scheduling gives to this task; empty where it schedules none.

    Examples
    --------
    >>> assigned_gpu()
    ''
    """
    from pyspark import TaskContext

    task = TaskContext.get()
    gpus = task.resources().get("gpu") if task is not None else None
    return gpus.addresses[0] if gpus else ""


@contextmanager
def _progress(spark: "SparkSession", total: int, description: str) -> Iterator[None]:
    """Show how many tasks of the next job are done, from a thread: a Spark action keeps its own thread waiting."""
    tracker, finished = spark.sparkContext.statusTracker(), threading.Event()
    with tqdm(total=total, desc=description) as bar:

        def watch() -> None:
            while not finished.wait(0.5):
                stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
                bar.update(max((stage.numCompletedTasks for stage in stages if stage), default=bar.n) - bar.n)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
            bar.update(total - bar.n)
        finally:
            finished.set()
            thread.join()
