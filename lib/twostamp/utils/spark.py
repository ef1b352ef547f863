"""Run work on Spark: rows out of many inputs, and independent jobs of which a dead worker costs one retry."""

import hashlib
import heapq
import json
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial, reduce
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
from tqdm.auto import tqdm

from twostamp.utils.extras import naming_extras
from twostamp.utils.files import replacing
from twostamp.utils.java import find_scratch, require_java, without_settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Job = TypeVar("Job")
Work = Callable[[str, Any], Iterator[dict[str, Any]]]

_ATTEMPTS = 2
DIED = "its process died twice (killed, or out of memory)"

_SQL_TYPES = {"string": "string", "int64": "bigint", "double": "double", "binary": "binary", "bool": "boolean"}
_CHUNK_BYTES = 256 << 20
"""Bytes of input that a core reads before the rows are stored: what a killed run does again."""
_ROWS_PER_BATCH = 64
"""A row may weigh 120 kB, so that batches are small."""
_ROW_GROUP_BYTES = 16 << 20


def make_spark(master: str = "local[*,4]") -> "SparkSession":
    """Start Spark, or share the session that runs already.

    Parameters
    ----------
    master : str
        Spark master. Plain ``local[n]`` never tries a failed task again; ``local[n,4]`` does.

    Raises
    ------
    SparkUnavailableError
        If Spark does not start here, such as without a Java.
    """
    require_java()
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    with naming_extras():
        from pyspark.sql import SparkSession

    log = f"-Dlog4j2.configurationFile={files('twostamp.utils').joinpath('log4j2.json')}"
    options = {
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.parquet.columnarReaderBatchSize": str(_ROWS_PER_BATCH),
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.extraJavaOptions": log,
    }
    if master.startswith("local"):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        # A local session lives for a minute: compiling its code well costs more than that code ever gains.
        options["spark.driver.extraJavaOptions"] += " -XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
        options |= {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
        options |= {"spark.driver.memory": "2g", "spark.sql.shuffle.partitions": "4", "spark.ui.enabled": "false"}
        if (scratch := find_scratch()) != "/tmp":
            options |= {"spark.local.dir": scratch}
            options["spark.driver.extraJavaOptions"] += f" -Djava.io.tmpdir={scratch}"
    with without_settings() if master.startswith("local") else nullcontext():
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
    with naming_extras():
        from pyspark.sql import SparkSession

    shared = SparkSession.getActiveSession() is not None
    spark = make_spark(f"local[{cores},4]" if cores and master.startswith("local") else master)
    try:
        yield spark
    finally:
        if not shared:
            spark.stop()


def map_inputs(
    spark: "SparkSession", inputs: dict[str, Any], sizes: dict[str, int], work: Work, columns: dict[str, str]
) -> "DataFrame":
    """Run ``work(name, value)`` for every input, spread over the cluster by bytes.

    Parameters
    ----------
    spark : SparkSession
    inputs : dict
        Name, such as a file's path -> what `work` gets besides it.
    sizes : dict
        Name -> bytes.
    work : callable
        Gives rows as dicts; it must be picklable.
    columns : dict
        Name -> Arrow type of the rows.

    Returns
    -------
    DataFrame
        Lazy; every action runs the work again.
    """
    bins = _balance(inputs, sizes, 4 * spark.sparkContext.defaultParallelism)

    def work_on(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in columns.items()])
        numbers = (number for batch in batches for number in batch.column(0).to_pylist())
        rows = (row for number in numbers for name in bins[number] for row in work(name, inputs[name]))
        while part := list(islice(rows, _ROWS_PER_BATCH)):
            yield pa.RecordBatch.from_pylist(part, schema)

    ddl = ", ".join(f"`{name}` {_SQL_TYPES[kind]}" for name, kind in columns.items())
    return spark.range(0, len(bins), 1, max(1, len(bins))).mapInArrow(work_on, ddl)


def map_and_store(
    spark: "SparkSession",
    inputs: dict[str, Any],
    sizes: dict[str, int],
    work: Work,
    columns: dict[str, str],
    folder: Path,
) -> "DataFrame":
    """Run `map_inputs` in chunks, each stored as it ends, so that a killed run does only the last one again.

    Parameters
    ----------
    folder : Path
        Where the chunks are stored; its name titles the progress bar. The others are those of `map_inputs`.
    """
    chunks = list(_cut_into_chunks(inputs, sizes, _CHUNK_BYTES * spark.sparkContext.defaultParallelism))
    frames = []
    for chunk in tqdm(chunks, desc=folder.name, unit="chunk"):
        key = hashlib.sha256(json.dumps(chunk).encode()).hexdigest()[:16]
        frame = map_inputs(spark, {name: inputs[name] for name in chunk}, sizes, work, columns)
        frames.append(store(frame, folder / key))
    return reduce(lambda first, second: first.union(second), frames)


def store(frame: "DataFrame", path: Path) -> "DataFrame":
    """Write a frame as a folder of Parquet files, unless it is there already, and read it back."""
    if not path.exists():
        with replacing(path) as part:
            frame.write.option("parquet.block.size", _ROW_GROUP_BYTES).parquet(str(part))
    return frame.sparkSession.read.schema(frame.schema).parquet(str(path))


def _cut_into_chunks(names: Iterable[str], sizes: dict[str, int], limit: int) -> Iterator[list[str]]:
    """Cut sorted inputs into runs of at least `limit` bytes (the last may be smaller).

    >>> list(_cut_into_chunks("abc", {"a": 5, "b": 9, "c": 1}, 10))
    [['a', 'b'], ['c']]
    """
    chunk: list[str] = []
    weight = 0
    for name in sorted(names):
        chunk.append(name)
        weight += sizes[name]
        if weight >= limit:
            yield chunk
            chunk, weight = [], 0
    if chunk:
        yield chunk


def _balance(names: Iterable[str], sizes: dict[str, int], count: int) -> list[list[str]]:
    """Share inputs among at most `count` bins of about equal bytes: the largest first, to the lightest bin.

    >>> _balance("abcd", {"a": 5, "b": 4, "c": 3, "d": 2}, 2)
    [['a', 'd'], ['b', 'c']]
    """
    order = sorted(names, key=lambda name: (-sizes[name], name))
    bins: list[list[str]] = [[] for _ in order[:count]]
    weights = [(0, at) for at in range(len(bins))]
    for name in order:
        weight, at = heapq.heappop(weights)
        bins[at].append(name)
        heapq.heappush(weights, (weight + sizes[name], at))
    return bins


def run_jobs(
    spark: "SparkSession",
    work: Callable[[Job], None],
    jobs: Sequence[Job],
    *,
    failed: Callable[[Job, str], None],
    environment: Mapping[str, str] | None = None,
    description: str = "jobs",
) -> None:
    """Run a function on every job, one Spark task each; what raises, or kills its process, is tried once more.

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
        context.parallelize(jobs, len(jobs)).foreach(partial(_run_job, work, failed))


def _run_job(work: Callable[[Job], None], failed: Callable[[Job, str], None], job: Job) -> None:
    from pyspark import TaskContext

    task, reason = TaskContext.get(), ""
    # What raises is caught below, so that another attempt of the task means that a process died.
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
    """Address of the GPU that Spark's resource scheduling gives to this task; empty where it schedules none."""
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
