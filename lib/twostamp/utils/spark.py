"""Spark: a session, and how it hands out the sources of an archive. No astronomy in here."""

import hashlib
import heapq
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial, reduce
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
from tqdm.auto import tqdm

from twostamp.utils.files import replacing

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Work = Callable[[str, Any], Iterator[dict[str, Any]]]

JAVA_HINT = (
    "Spark needs Java 17 or newer: install it (Debian: apt-get install openjdk-17-jre-headless; conda: openjdk) or set "
    "JAVA_HOME"
)
SQL_TYPES = {"string": "string", "int64": "bigint", "double": "double", "binary": "binary", "bool": "boolean"}
CHUNK_BYTES = 256 << 20
"""Bytes of archive that a core reads before the rows are stored: what a killed run does again."""
ROWS_PER_BATCH = 64
"""Rows with stamps weigh 60 to 120 kB, so that batches are small."""
ROW_GROUP_BYTES = 16 << 20


class SparkUnavailableError(RuntimeError):
    """Spark cannot start on this machine; the message says what to install."""


def make_spark(master: str = "local[*,4]") -> "SparkSession":
    """Start Spark, or share the session that runs already.

    Parameters
    ----------
    master : str
        Spark master. Plain ``local[n]`` never tries a failed task again; ``local[n,4]`` does.

    Raises
    ------
    SparkUnavailableError
        If there is no Java, or one older than 17.
    """
    require_java()
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    from pyspark.sql import SparkSession

    log = f"-Dlog4j2.configurationFile={files('twostamp.utils').joinpath('log4j2.json')}"
    options = {
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.parquet.columnarReaderBatchSize": str(ROWS_PER_BATCH),
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.extraJavaOptions": log,
    }
    if master.startswith("local"):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        # A local session lives for a minute: compiling its code well costs more than that code ever gains.
        options["spark.driver.extraJavaOptions"] += " -XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
        options |= {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
        options |= {"spark.driver.memory": "2g", "spark.sql.shuffle.partitions": "4", "spark.ui.enabled": "false"}
    return SparkSession.builder.master(master).appName("twostamp").config(map=options).getOrCreate()


@contextmanager
def open_spark(master: str = "local[*,4]", cores: int | None = None) -> Iterator["SparkSession"]:
    """Share the session that runs already, or have one for the length of a ``with`` block.

    Parameters
    ----------
    master : str
        As for `make_spark`.
    cores : int, optional
        Tasks at a time of a local master; a cluster has its own.
    """
    from pyspark.sql import SparkSession

    shared = SparkSession.getActiveSession() is not None
    spark = make_spark(f"local[{cores},4]" if cores and master.startswith("local") else master)
    try:
        yield spark
    finally:
        if not shared:
            spark.stop()


def map_sources(
    spark: "SparkSession", tasks: dict[str, Any], sizes: dict[str, int], work: Work, columns: dict[str, str]
) -> "DataFrame":
    """Run ``work(source, task)`` for every source, spread over the cluster by bytes.

    Parameters
    ----------
    spark : SparkSession
    tasks : dict
        Source -> what `work` gets besides it.
    sizes : dict
        Source -> bytes.
    work : callable
        Gives rows as dicts; it must be picklable.
    columns : dict
        Name -> Arrow type of the rows.

    Returns
    -------
    DataFrame
        Lazy; every action reads the sources again.
    """
    bins = balance(tasks, sizes, 4 * spark.sparkContext.defaultParallelism)

    def work_on(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in columns.items()])
        numbers = (number for batch in batches for number in batch.column(0).to_pylist())
        rows = (row for number in numbers for source in bins[number] for row in work(source, tasks[source]))
        while part := list(islice(rows, ROWS_PER_BATCH)):
            yield pa.RecordBatch.from_pylist(part, schema)

    ddl = ", ".join(f"`{name}` {SQL_TYPES[kind]}" for name, kind in columns.items())
    return spark.range(0, len(bins), 1, max(1, len(bins))).mapInArrow(work_on, ddl)


def run_sources(
    spark: "SparkSession",
    tasks: dict[str, Any],
    sizes: dict[str, int],
    work: Work,
    columns: dict[str, str],
    folder: Path,
) -> "DataFrame":
    """Run `map_sources` in chunks, each stored as it ends, so that a killed run does only the last one again.

    Parameters
    ----------
    folder : Path
        Where the chunks are stored; its name titles the progress bar. The others are those of `map_sources`.
    """
    chunks = list(chunk_sources(tasks, sizes, CHUNK_BYTES * spark.sparkContext.defaultParallelism))
    frames = []
    for chunk in tqdm(chunks, desc=folder.name, unit="chunk"):
        name = hashlib.sha256(json.dumps(chunk).encode()).hexdigest()[:16]
        frame = map_sources(spark, {source: tasks[source] for source in chunk}, sizes, work, columns)
        frames.append(store(frame, folder / name))
    return reduce(lambda first, second: first.union(second), frames)


def store(frame: "DataFrame", path: Path) -> "DataFrame":
    """Write a frame as Parquet, unless it is there already, and read it back."""
    if not path.exists():
        publish(frame, path)
    return frame.sparkSession.read.schema(frame.schema).parquet(str(path))


def publish(frame: "DataFrame", path: Path) -> None:
    """Write a frame as a folder of Parquet files under a temporary name, and put it in its place."""
    with replacing(path) as part:
        frame.write.option("parquet.block.size", ROW_GROUP_BYTES).parquet(str(part))


def chunk_sources(sources: Iterable[str], sizes: dict[str, int], limit: int) -> Iterator[list[str]]:
    """Cut sorted sources into runs of at least `limit` bytes (the last may be smaller).

    Examples
    --------
    >>> list(chunk_sources("abc", {"a": 5, "b": 9, "c": 1}, 10))
    [['a', 'b'], ['c']]
    """
    chunk: list[str] = []
    weight = 0
    for source in sorted(sources):
        chunk.append(source)
        weight += sizes[source]
        if weight >= limit:
            yield chunk
            chunk, weight = [], 0
    if chunk:
        yield chunk


def balance(sources: Iterable[str], sizes: dict[str, int], count: int) -> list[list[str]]:
    """Share sources among at most `count` bins of about equal bytes: the largest first, to the lightest bin.

    Examples
    --------
    >>> balance("abcd", {"a": 5, "b": 4, "c": 3, "d": 2}, 2)
    [['a', 'd'], ['b', 'c']]
    """
    order = sorted(sources, key=lambda source: (-sizes[source], source))
    bins: list[list[str]] = [[] for _ in order[:count]]
    weights = [(0, at) for at in range(len(bins))]
    for source in order:
        weight, at = heapq.heappop(weights)
        bins[at].append(source)
        heapq.heappush(weights, (weight + sizes[source], at))
    return bins


def require_java() -> None:
    """Make sure that there is a Java that Spark can run on.

    Raises
    ------
    SparkUnavailableError
        If there is no Java, or one older than 17; with the fix.
    """
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin" if home else None)
    if java is None:
        raise SparkUnavailableError(JAVA_HINT)
    banner = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', banner)
    if version and int(version[1]) < 17:
        raise SparkUnavailableError(f"{JAVA_HINT}; {java} is version {version[1]}")


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
