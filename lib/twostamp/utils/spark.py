"""Start Spark, and run independent jobs on it; a job whose worker dies is retried once."""

import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import psutil
from tqdm.auto import tqdm

from twostamp.utils.extras import naming_extras
from twostamp.utils.java import find_scratch, require_java, without_settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Job = TypeVar("Job")

_ATTEMPTS = 2
DIED = "its process died twice (killed, or out of memory)"

_ROW_BYTES = 100_000
"""Size of an alert with its stamps, bytes."""
_GIB = 1 << 30
_PARTITIONS = "spark.sql.shuffle.partitions"


def make_spark(master: str = "local[*,4]") -> "SparkSession":
    """Start Spark, or share the running session.

    A local session gets settings for its cores and this machine's memory. A session on a cluster keeps its given
    settings, for example from ``spark-submit``, with at least as many partitions as cores.

    Parameters
    ----------
    master : str
        Spark master. Plain ``local[n]`` never retries a failed task; ``local[n,4]`` does.

    Raises
    ------
    SparkUnavailableError
        If Spark does not start here, for example without Java.
    """
    require_java()
    local = master.startswith("local")
    if local or "PYSPARK_PYTHON" not in os.environ:  # workers of a cluster may have their Python elsewhere
        os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    with naming_extras():
        from pyspark.sql import SparkSession

    log = f"-Dlog4j2.configurationFile={files('twostamp.utils').joinpath('log4j2.json')}"
    options = {
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.extraJavaOptions": log,
    }
    if local:
        # A local session lives for a minute: optimising its code costs more time than it saves.
        options["spark.driver.extraJavaOptions"] += " -XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
        options |= {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
        options |= {"spark.ui.enabled": "false"} | plan_settings(_count_cores(master), _measure_memory())
        if (scratch := find_scratch()) != "/tmp":
            options |= {"spark.local.dir": scratch}
            options["spark.driver.extraJavaOptions"] += f" -Djava.io.tmpdir={scratch}"
    with without_settings() if local else nullcontext():
        spark = SparkSession.builder.master(master).appName("twostamp").config(map=options).getOrCreate()
    if not local and not spark.sparkContext.getConf().contains(_PARTITIONS):
        spark.conf.set(_PARTITIONS, max(int(spark.conf.get(_PARTITIONS)), 2 * spark.sparkContext.defaultParallelism))
    return spark


def plan_settings(cores: int, memory: int) -> dict[str, str]:
    """Plan the settings of a local session from its cores and the machine's memory (bytes).

    Examples
    --------
    >>> plan_settings(2, 24 << 30)
    {'spark.driver.memory': '2048m', 'spark.sql.shuffle.partitions': '4', \
'spark.sql.execution.arrow.maxRecordsPerBatch': '1342'}
    >>> plan_settings(64, 256 << 30)["spark.driver.memory"], plan_settings(8, 2 << 30)["spark.driver.memory"]
    ('32768m', '1024m')
    """
    heap = max(_GIB, min(memory // 4, max(2 * _GIB, cores * _GIB // 2)))
    rows = heap // cores // 8 // _ROW_BYTES
    return {
        "spark.driver.memory": f"{heap >> 20}m",
        _PARTITIONS: str(max(4, 2 * cores)),
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(min(max(rows, 64), 10_000)),
    }


def _count_cores(master: str) -> int:
    """Count the cores of a local master; ``*`` is all."""
    found = re.match(r"local\[(\d+)", master)
    return int(found[1]) if found else (os.cpu_count() or 1) if "*" in master else 1


def _measure_memory() -> int:
    """Measure the memory of this machine or container, bytes."""
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.exists() else ""
    return min(psutil.virtual_memory().total, int(text)) if text.isdigit() else psutil.virtual_memory().total


@contextmanager
def open_spark(master: str = "local[*,4]", cores: int | None = None) -> Iterator["SparkSession"]:
    """Share the running session, or start one for a ``with`` block.

    Parameters
    ----------
    master : str
        As for `make_spark`.
    cores : int, optional
        Parallel tasks of a local master; a cluster has its own.
    """
    with naming_extras():
        from pyspark.sql import SparkSession

    shared = SparkSession.getActiveSession() is not None
    spark = make_spark(f"local[{cores},4]" if cores and master.startswith("local") else master)
    try:
        yield spark
    finally:
        if not shared:
            spark.stop()


@contextmanager
def settings(spark: "SparkSession", **values: Any) -> Iterator[None]:
    """Change settings of Spark SQL within a ``with`` block."""
    before = {name: spark.conf.get(name) for name in values}
    for name, value in values.items():
        spark.conf.set(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            spark.conf.set(name, value)


def run_jobs(
    spark: "SparkSession",
    work: Callable[[Job], None],
    jobs: Sequence[Job],
    *,
    failed: Callable[[Job, str], None],
    environment: Mapping[str, str] | None = None,
    description: str = "jobs",
) -> None:
    """Run a function on every job, one Spark task each; a job that raises or kills its process is retried once.

    Parameters
    ----------
    spark : SparkSession
        Its master allows four failures of a task, as clusters do by default and ``local[n,4]`` does.
    work : callable
        Importable function of a module; it writes its results to a place that all workers share.
    jobs : sequence
        Picklable; started in their order.
    failed : callable
        Importable function; called in a worker with a job that failed twice and the reason.
    environment : mapping of str, optional
        Environment variables of the workers' processes.
    description : str
        Text of the progress bar.
    """
    if not jobs:
        return
    context = spark.sparkContext
    context.environment.update(environment or {})
    with show_progress(spark, len(jobs), description):
        context.parallelize(jobs, len(jobs)).foreach(partial(_run_job, work, failed))


def _run_job(work: Callable[[Job], None], failed: Callable[[Job, str], None], job: Job) -> None:
    from pyspark import TaskContext

    task, reason = TaskContext.get(), ""
    # Exceptions are caught below, so another attempt of a task means that a process died.
    if task is not None and task.attemptNumber() >= _ATTEMPTS:
        failed(job, DIED)
        return
    for _ in range(_ATTEMPTS):
        try:
            work(job)
            return
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
    failed(job, reason)


def assigned_gpu() -> str:
    """Return the address of the GPU that Spark's scheduling gives to this task; empty if it schedules none."""
    from pyspark import TaskContext

    task = TaskContext.get()
    gpus = task.resources().get("gpu") if task is not None else None
    return gpus.addresses[0] if gpus else ""


@contextmanager
def show_progress(spark: "SparkSession", total: int, description: str) -> Iterator[None]:
    """Show the progress of the next job from a thread, since a Spark action blocks its own."""
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
