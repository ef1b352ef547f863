"""Rows of what Spark does: the first two alerts of labelled objects, and the search."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from tests.benchmarks import inputs, plain
from tests.benchmarks.driver import driver_rows
from tests.benchmarks.measure import Row, compare, growth, rate_of
from tests.benchmarks.scheduling import schedule
from twostamp.alerts.extraction import extract_first_two
from twostamp.alerts.extraction_tasks import make_schema
from twostamp.params import Parameters
from twostamp.utils.spark import make_spark, open_spark
from twostamp.utils.spark_store import batch_rows

NIGHTS, ALERTS, LABELLED = inputs.sized(20, 4), inputs.sized(1000, 20), inputs.sized(1, 5) / 100
TOTAL, APART = inputs.sized(200_000, 80), np.geomspace(1, 10, inputs.sized(40, 4))
SIZES = [*np.diff(np.round(np.cumsum([0, *APART]) / APART.sum() * TOTAL).astype(int)).tolist()]
"""Alerts of nights that are up to ten times apart."""
GROWING = (1, 2) if inputs.TINY else (2, 4, 8, 16)
EXTRACTIONS = inputs.sized(3, 1)
ALERT = {"objectId": "string", "candid": "int64", "jd": "double"}
STAMPS = dict.fromkeys(plain.STAMPS, "binary")
TRIALS = {"search_variants": ["stacked"], "grid_batch_size": [32, 64], "n_repetitions": 2}
TRIALS |= {"n_combinations": 2, "epochs": inputs.sized(2, 1)}


def extraction() -> Iterator[Row]:
    """First two alerts per labelled object, and the bytes that either way shuffles."""
    with tempfile.TemporaryDirectory() as folder, open_spark("local[2,4]") as spark:
        yield from compare_extractions(spark, Path(folder))


def compare_extractions(spark: Any, folder: Path) -> Iterator[Row]:
    """Both ways on nights of copied packets."""
    labels = inputs.write_archive(folder / "alerts", [ALERTS] * NIGHTS, LABELLED)
    work = NIGHTS * ALERTS
    shuffled: dict[str, int] = {}

    def counted(name: str, call: Any) -> Any:
        before = shuffle_bytes(spark)
        call()
        shuffled[name] = shuffle_bytes(spark) - before

    def ours() -> None:
        shutil.rmtree(folder / "ours", ignore_errors=True)
        report = extract_first_two(spark, str(folder / "alerts"), labels, folder / "ours")
        assert report.objects["with two alerts"] == len(labels), report

    def plainly() -> None:
        assert extract_plainly(spark, folder / "alerts", labels, folder / "plain") == 2 * len(labels)

    sides = [rate_of(work, partial(counted, name, call)) for name, call in (("ours", ours), ("plain", plainly))]
    name = f"first two alerts, Spark local[2], {NIGHTS} x {ALERTS} packets / decode all, window"
    yield compare(name, "alerts/s", *sides, 5, pairs=EXTRACTIONS)
    ratio = shuffled["plain"] / max(shuffled["ours"], 1)
    yield Row("shuffle of the same / of the plain way", "bytes", shuffled["ours"], shuffled["plain"], *[ratio] * 3, 1)
    yield growth(
        "first two alerts, Spark, by nights", GROWING, partial(extract_part, spark, folder, labels), EXTRACTIONS
    )


def cluster() -> Iterator[Row]:
    """The extraction of more alerts in nights ten times apart, and how large the driver grows with the keys."""
    packets = sorted(inputs.read_alerts(), key=len)[: len(inputs.read_alerts()) // 10]  # the disk is not to be measured
    described = f"smallest tenth, {sum(map(len, packets)) / len(packets) / 1000:.0f} kB"
    folder = inputs.bench_folder() / "data" / f"cluster-{sum(SIZES)}"
    labels = inputs.write_archive(folder, SIZES, LABELLED, packets)
    with tempfile.TemporaryDirectory() as scratch:
        yield from (replace(row, input=described) for row in compare_cluster(folder, labels, Path(scratch)))
    yield from driver_rows()


def compare_cluster(archive: Path, labels: pd.DataFrame, scratch: Path) -> Iterator[Row]:
    """Both ways on two cores; how busy the key pass keeps them, and what its tasks on one core foretell for two."""
    seconds: dict[str, list[float]] = {"keys on 2 cores": [], "computed": []}
    busy, work = [], sum(SIZES)

    def ours() -> None:
        shutil.rmtree(scratch / "ours", ignore_errors=True)
        report = extract_first_two(spark, str(archive), labels, scratch / "ours")
        assert report.objects["with two alerts"] == len(labels), report
        tasks = list_tasks(spark, "keys-")
        seconds["keys on 2 cores"].append(max(end for _, end in tasks) - min(start for start, _ in tasks))
        busy.append(sum(end - start for start, end in tasks) / (2 * seconds["keys on 2 cores"][-1]))

    def plainly() -> None:
        assert extract_plainly(spark, archive, labels, scratch / "plain") == 2 * len(labels)

    with open_spark("local[2,4]") as spark:
        name = f"first two alerts, Spark local[2], {work} packets in {len(SIZES)} nights / decode all, window"
        yield compare(name, "alerts/s", rate_of(work, ours), rate_of(work, plainly), 3.5, pairs=EXTRACTIONS)
        low, middle, high = (float(f(busy)) for f in (min, median, max))
        name = "cores busy between the first and the last task of its key pass"
        yield Row(name, "share", middle, 1, middle, low, high, 0.85)
    with open_spark("local[1,4]") as spark:
        for _ in range(EXTRACTIONS):
            shutil.rmtree(scratch / "ours")
            extract_first_two(spark, str(archive), labels, scratch / "ours")
            durations = [end - start for start, end in list_tasks(spark, "keys-")]
            seconds["computed"].append(schedule(durations, 2).seconds)
    ratios = sorted(one / two for one, two in zip(seconds["computed"], seconds["keys on 2 cores"], strict=False))
    both = (median(seconds["computed"]), median(seconds["keys on 2 cores"]), median(ratios))
    yield Row("key pass on two cores, computed from one core / measured", "s", *both, ratios[0], ratios[-1], 0.7)


def list_tasks(spark: Any, name: str) -> list[tuple[float, float]]:
    """Begin and end in seconds of the tasks of the last job whose description begins with a name."""
    store = spark.sparkContext._jsc.sc().statusStore()
    jobs = store.jobsList(None)
    described = [job for job in map(jobs.apply, range(jobs.size())) if job.description().isDefined()]
    job = max((job for job in described if job.description().get().startswith(name)), key=lambda job: job.jobId())
    tasks = store.taskList(job.stageIds().apply(0), 0, 1_000_000)
    begun = [(task.launchTime().getTime(), task.duration().get()) for task in map(tasks.apply, range(tasks.size()))]
    return [(start / 1000, (start + took) / 1000) for start, took in begun]


def extract_part(spark: Any, folder: Path, labels: pd.DataFrame, nights: int) -> Callable[[], Any]:
    """The extraction from the first of the nights, as a call."""
    part = folder / f"{nights}-nights"
    part.mkdir()
    for path in sorted((folder / "alerts").glob("*.tar.gz"))[:nights]:
        (part / path.name).hardlink_to(path)

    def call() -> None:
        shutil.rmtree(folder / "part", ignore_errors=True)
        extract_first_two(spark, str(part), labels, folder / "part")

    return call


def extract_plainly(spark: Any, archive: Path, labels: pd.DataFrame, folder: Path) -> int:
    """Decode every packet whole, keep the labelled ones, rank them by a window; returns the alerts kept."""
    from pyspark.sql import Window
    from pyspark.sql import functions as sql
    from pyspark.sql.pandas.types import from_arrow_schema

    paths = [str(path) for path in sorted(archive.glob("*.tar.gz"), key=lambda path: -path.stat().st_size)]
    wanted, schema = frozenset(labels["objectId"]), make_schema(ALERT | STAMPS)

    def decode(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        numbers = [number for batch in batches for number in batch.column(0).to_pylist()]
        yield from batch_rows((row for at in numbers for row in decode_all(paths[at], wanted)), schema, 64)

    alerts = spark.range(0, len(paths), 1, len(paths)).mapInArrow(decode, from_arrow_schema(schema))
    order = sql.row_number().over(Window.partitionBy("objectId").orderBy("jd"))
    alerts.withColumn("place", order).where("place <= 2").write.mode("overwrite").parquet(str(folder))
    return spark.read.parquet(str(folder)).count()


def decode_all(source: str, wanted: frozenset[str]) -> Iterator[dict[str, Any]]:
    """Rows of the labelled packets of a tarball."""
    import tarfile

    with tarfile.open(source, "r:gz") as tar:
        for entry in tar:
            packet = plain.read_packet(tar.extractfile(entry).read())
            if packet["objectId"] in wanted:
                stamps = {name: packet[f"cutout{name}"]["stampData"] for name in STAMPS}
                yield {name: packet["candidate"].get(name, packet.get(name)) for name in ALERT} | stamps


def shuffle_bytes(spark: Any) -> int:
    """Bytes that all stages so far have written for shuffles."""
    gateway = spark.sparkContext._gateway
    store = spark.sparkContext._jsc.sc().statusStore()
    nothing = gateway.new_array(gateway.jvm.double, 0)
    stages = store.stageList(None, False, False, nothing, None)
    return sum(stages.apply(i).shuffleWriteBytes() for i in range(stages.size()))


def search() -> Iterator[Row]:
    """Trials two at a time on Spark, beside one after the other with all cores given to TensorFlow."""
    from twostamp.models.search import make_trials, run_trials
    from twostamp.models.trial import WORKER_ENVIRONMENT, Job, TrainingConfig, run_job

    records = inputs.find_records(
        inputs.bench_folder() / "data" / "pairs.parquet", inputs.bench_folder() / "data/records"
    )
    parallel = Parameters(**TRIALS, workers=2, threads_per_trial=1, spark_master="local[2,4]")
    alone = Parameters(**TRIALS, workers=1, threads_per_trial=os.cpu_count() or 1)
    trials = make_trials(parallel)
    make_spark(parallel.spark_master)  # shared by all pairs, as a run's notebooks share one
    with tempfile.TemporaryDirectory() as folder, worker(WORKER_ENVIRONMENT) as process:

        def ours() -> None:
            shutil.rmtree(folder, ignore_errors=True)
            results = run_trials(trials, records, Path(folder) / "search", parallel)
            assert len(results.done) == len(trials)

        def one_by_one() -> None:
            (Path(folder) / "alone").mkdir(parents=True, exist_ok=True)
            for trial in trials:
                job = Job(trial, records, Path(folder) / "alone", TrainingConfig.of(alone))
                process.submit(run_job, job).result()

        sides = (rate_of(len(trials), side) for side in (ours, one_by_one))
        yield compare("parallel search, local[2,4] / one after the other, all cores", "trials/s", *sides, 1.2)


def worker(environment: dict[str, str]) -> ProcessPoolExecutor:
    """One process of its own, with the environment that the search gives to its workers."""
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        pool.submit(os.getpid).result()
        return pool
    finally:
        os.environ.clear()
        os.environ.update(before)
