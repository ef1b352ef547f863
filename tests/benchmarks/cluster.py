"""Rows of what Spark does: the first two alerts of labelled objects, and the search."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from tests.benchmarks import inputs, plain
from tests.benchmarks.measure import Row, compare, growth, rate_of
from twostamp.alerts.extraction import extract_first_two
from twostamp.alerts.extraction_tasks import make_schema
from twostamp.params import Parameters
from twostamp.utils.spark import make_spark, open_spark
from twostamp.utils.spark_store import batch_rows

NIGHTS, ALERTS, LABELLED = inputs.sized(20, 4), inputs.sized(1000, 20), inputs.sized(1, 5) / 100
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
    labels = inputs.write_archive(folder / "alerts", NIGHTS, ALERTS, LABELLED)
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
