"""First two alerts of every labelled object, on Spark (thesis, section 3.2).

The key pass stores the key of every alert, once for all later uses. The stamp pass opens only the packets that rank
first and second, and an object's next ones if a stamp is bad. Other stamps are neither shuffled nor decoded. No table
with a row for every alert or object reaches the driver.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from functools import partial, reduce
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as sql
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema

from twostamp.alerts.archive import list_shares
from twostamp.alerts.archive_listing import Source, survey_archive
from twostamp.alerts.cutouts import STAMPS
from twostamp.alerts.extraction_report import UNREAD, ExtractionReport, make_report
from twostamp.alerts.extraction_tasks import (
    KEY,
    OPENED,
    PLACE,
    SCAN,
    SUMS,
    make_opened_schema,
    make_schema,
    merge_types,
    open_winners,
    scan,
    write_part,
)
from twostamp.alerts.first_two import bad_alerts, choose_alerts, count_outcomes, first_two
from twostamp.alerts.packet import read_candidate_types, read_schema, write_packets
from twostamp.taxonomy import LABEL_COLUMNS
from twostamp.utils.files import replacing
from twostamp.utils.fingerprints import hash_code
from twostamp.utils.spark import settings
from twostamp.utils.spark_store import Input, map_and_store, spread, store

_KEYS = "keys"
_ALERTS_PER_PART = 2000
_ALERTS_PER_BUCKET = 200_000
"""Alerts of the archive per group of objects that one task processes: the limit of its memory."""
_PACKETS_AT_ONCE = 64  # rows that weigh some 100 kB
_READER_ROWS = "spark.sql.parquet.columnarReaderBatchSize"
_RESERVED = {*OPENED, *STAMPS, *LABEL_COLUMNS, "place", "deltajd"}
_QUARANTINE = ("source", "member", "candid", "reason")
_QUARANTINE_DDL = "source string, member string, candid bigint, reason string"


class Scan(NamedTuple):
    """Key pass over an archive: its sources, skipped files with reasons, and rows of `SCAN`."""

    sources: dict[str, Source]
    passed_over: dict[str, str]
    rows: DataFrame


def extract_first_two(
    spark: SparkSession, archive: str, labels: pd.DataFrame | DataFrame | None, folder: Path, *, prefix: str = ""
) -> ExtractionReport:
    """Extract the first two alerts of every wanted object.

    The first two are the two smallest distinct jd among distinct candid with three whole stamps; at equal jd the
    smallest candid (decision D9). The outputs are ``first_alerts.parquet`` and ``pairs.parquet`` (folders) and
    ``quarantine.parquet``.

    An existing output of the same files and labels is left unchanged. A killed run resumes from its stored parts, on
    any number of cores. The keys stay in ``keys-*``, so that only the new sources of a growing archive are read.

    Parameters
    ----------
    spark : SparkSession
    archive : str
        Folder, tarball or URL of alerts.
    labels : pandas or Spark DataFrame, or None
        objectId (unique), classALeRCE, subclassALeRCE. With objectId alone, or None for every object of the archive,
        the output has no labels.
    folder : Path
        Where to write, on a file system that all workers share.
    prefix : str
        Prefix of the names of the outputs; the default without labels is ``unlabelled_``.

    Returns
    -------
    ExtractionReport

    Raises
    ------
    ArchiveError
        If the archive holds no alerts. Damaged sources and packets raise no error: they become rows of the quarantine.
    ValueError
        If an object is labelled twice.
    """
    started = time.monotonic()
    wanted, digest = (None, "") if labels is None else _check_labels(spark, labels)
    prefix = prefix or ("" if wanted is not None and "classALeRCE" in wanted.columns else "unlabelled_")
    folder = Path(folder).resolve()
    sources, passed_over = survey_archive(archive, partial(spread, spark))
    found = json.dumps([sources, passed_over, digest, hash_code(Path(__file__).parent)])
    fingerprint = hashlib.sha256(found.encode()).hexdigest()
    report_path = folder / f"{prefix}extraction.json"
    outputs = {name: folder / f"{prefix}{name}.parquet" for name in ("first_alerts", "pairs", "quarantine")}
    done = ExtractionReport.load(report_path, fingerprint)
    if done is not None and all(path.exists() for path in outputs.values()):
        return done
    report_path.unlink(missing_ok=True)
    scratch = folder / f".{prefix}extraction-{fingerprint[:12]}"
    for left in set(folder.glob(f".{prefix}extraction-*")) - {scratch}:  # of a killed run on other inputs
        shutil.rmtree(left)
    rows = _store_keys(spark, archive, sources, folder)
    report = _extract(Scan(sources, passed_over, rows), wanted, scratch, outputs)
    report.seconds = round(time.monotonic() - started, 3)
    report.save(report_path, fingerprint)
    shutil.rmtree(scratch)
    return report


def read_objects(spark: SparkSession, archive: str, folder: Path) -> DataFrame:
    """List the objects of an archive (section 6.6).

    Parameters
    ----------
    spark : SparkSession
    archive : str
        As for `extract_first_two`.
    folder : Path
        Output folder of `extract_first_two`, which shares its keys.

    Returns
    -------
    DataFrame of Spark
        objectId, ra and dec (degrees, of the first alert), n_alerts (exposures: distinct jd).
    """
    sources, _ = survey_archive(archive, partial(spread, spark))
    return list_objects(_store_keys(spark, archive, sources, Path(folder).resolve()))


def list_objects(rows: DataFrame) -> DataFrame:
    """List the objects in rows of the key pass, as `read_objects` does."""
    order = sql.struct("jd", "candid")
    positions = [sql.min_by(name, order).alias(name) for name in ("ra", "dec")]
    exposures = sql.count_distinct("jd").alias("n_alerts")
    return rows.where("kind = 'alert'").groupBy("objectId").agg(*positions, exposures)


def _check_labels(spark: SparkSession, labels: pd.DataFrame | DataFrame) -> tuple[DataFrame, str]:
    """Make a Spark table of labels, and a digest that identifies them."""
    names = [name for name in LABEL_COLUMNS if name in labels.columns]
    if isinstance(labels, pd.DataFrame):
        labels = spark.createDataFrame(labels[names], ", ".join(f"{name} string" for name in names))
    frame = labels.select(names)
    objects = frame.groupBy("objectId").agg(sql.count("*").alias("n"), sql.first(sql.xxhash64(*names)).alias("hash"))
    worst, n, total, digest = objects.agg(
        sql.max_by("objectId", "n"), sql.max("n"), sql.count("*"), sql.bit_xor("hash")
    ).first()
    if n and n > 1:
        raise ValueError(f"{worst} is labelled twice: clean the labels with twostamp.data.labels.read_labels")
    return frame, f"{names} {total} {digest}"


def _store_keys(spark: SparkSession, archive: str, sources: dict[str, Source], folder: Path) -> DataFrame:
    """Run the key pass over the new sources; store each as it ends."""
    code = hash_code(Path(__file__).parent)
    inputs = []
    for name, source in sources.items():
        for share in (shares := list_shares(name, source.size)):
            key = _shorten(f"{code} {name} {share} {source}")
            inputs.append(Input(key, (name, share), source.size // len(shares)))
    return map_and_store(spark, inputs, scan, make_schema(SCAN), folder / f"{_KEYS}-{_shorten(archive)}")


def _shorten(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _extract(found: Scan, labels: DataFrame | None, scratch: Path, outputs: dict[str, Path]) -> ExtractionReport:
    notes, keys = found.rows.where("kind != 'alert'"), found.rows.where("kind = 'alert'")
    sums = _sum_notes(notes)
    empty = _find_empty(notes) if sums.loc[sums["kind"] == "fields", "none"].any() else []
    passed_over = found.passed_over | dict.fromkeys(empty, "it holds no alerts")
    n_buckets = -(-int(sums.loc[sums["kind"] == "night", "alerts"].sum()) // _ALERTS_PER_BUCKET)
    bucket = sql.pmod(sql.xxhash64("objectId"), sql.lit(max(1, n_buckets))).alias("bucket")
    alerts = store(_rank_alerts(keys, labels), scratch / "alerts").select("*", bucket)
    opened = _open_winners(alerts, found.sources, _find_fields(sums), scratch, bucket)
    tried = opened.select(*OPENED, bucket)
    counts = _count_outcomes(alerts, tried)
    _write_pairs(opened, labels, counts.get(("state", "used"), 0), outputs)
    _write_quarantine(notes, tried, passed_over, outputs["quarantine"])
    unlabelled = 0 if labels is None else keys.join(labels, "objectId", "left_anti").count()
    report = make_report(sums, counts, unlabelled, _count_labels(labels))
    report.passed_over += len(passed_over)
    report.sources, report.archive_bytes = len(found.sources), sum(source.size for source in found.sources.values())
    report.written_bytes = sum(file.stat().st_size for path in outputs.values() for file in path.glob("*.parquet"))
    report.check()
    return report


def _count_labels(labels: DataFrame | None) -> pd.DataFrame | None:
    """Count objects by label; in a single row if there are no classes."""
    if labels is None:
        return None
    return labels.groupBy(*labels.columns[1:]).agg(sql.count("*").alias("objects")).toPandas()


def _sum_notes(notes: DataFrame) -> pd.DataFrame:
    """Sum the notes of the key pass: by night, by set of fields, and by kind."""
    text = sql.when(sql.col("kind").isin("night", "fields"), sql.col("text")).alias("text")
    totals = [sql.sum(name).alias(name) for name in SUMS]
    totals.append(sql.sum((sql.col("alerts") == 0).cast("int")).alias("none"))
    sums = notes.groupBy("kind", text).agg(sql.count("*").alias("rows"), *totals).toPandas()
    return sums.astype(dict.fromkeys(SUMS, float)).fillna(dict.fromkeys(SUMS, 0)).astype(dict.fromkeys(SUMS, int))


def _find_empty(notes: DataFrame) -> list[str]:
    """Find the sources without an alert; a single task cannot tell if several share a source."""
    empty = notes.where("kind = 'fields'").groupBy("source").agg(sql.sum("alerts").alias("n")).where("n = 0")
    return [row.source for row in empty.select("source").collect()]


def _rank_alerts(keys: DataFrame, labels: DataFrame | None) -> DataFrame:
    """Keep the first copy of each alert (same candid) in archive order; rank the exposures."""
    wanted = keys.select(*PLACE, *KEY) if labels is None else keys.select(*PLACE, *KEY).join(labels, "objectId")
    shared = [] if labels is None else labels.columns[1:]
    first = sql.min(sql.struct(*PLACE, "jd")).alias("first")
    one_each = wanted.repartition("objectId").groupBy("objectId", "candid", *shared)  # the one shuffle of both steps
    alerts = one_each.agg(first, sql.count("*").alias("copies"))
    alerts = alerts.select("first.*", "objectId", "candid", "copies", *shared)
    order = Window.partitionBy("objectId").orderBy("jd", "candid")
    exposure = sql.dense_rank().over(Window.partitionBy("objectId").orderBy("jd")).alias("exposure")
    leads = (sql.coalesce(sql.lag("jd").over(order), sql.lit(-1.0)) != sql.col("jd")).alias("leads")
    return alerts.select("*", exposure, leads)


def _find_fields(sums: pd.DataFrame) -> dict[str, str]:
    """Fields of ``candidate`` in schema 3.3 and in any packet of the archive, with their Arrow types."""
    seen = sums.loc[sums["kind"] == "fields", "text"]
    base = read_candidate_types(write_packets([], read_schema()))
    fields = reduce(merge_types, map(json.loads, sorted(seen)), base)
    fields |= {
        name: kind for name, kind in base.items() if fields[name] == "string"
    }  # a single unusual packet changes no number
    once = {name.lower(): name for name in reversed(fields) if name not in _RESERVED}  # Spark ignores case
    return {name: kind for name, kind in fields.items() if once.get(name.lower()) == name}


def _open_winners(
    alerts: DataFrame, sources: dict[str, Source], fields: dict[str, str], scratch: Path, bucket: Column
) -> DataFrame:
    """Open packets in rounds, until every object has two whole alerts or no more to try."""
    spark, schema = alerts.sparkSession, make_opened_schema(fields)
    opened = spark.createDataFrame([], from_arrow_schema(schema))
    for attempt in count():
        if attempt and opened.where("reason is not null").isEmpty():
            break
        first = alerts.where("exposure <= 2 and leads")
        chosen = _choose_again(alerts, opened, 4**attempt, bucket) if attempt else first
        places = scratch / f"winners-{attempt + 1}"
        winners = chosen.select(*PLACE, *KEY).repartition("source").sortWithinPartitions(*PLACE)
        names = [row.source for row in store(winners, places).select("source").distinct().collect()]
        if not names:
            break
        inputs = [Input(_shorten(name), name, sources[name].size) for name in names]
        work = partial(open_winners, winners=places, fields=fields)
        found = map_and_store(spark, inputs, work, schema, scratch / f"stamps-{attempt + 1}")
        opened = opened.union(found) if attempt else found
    return opened


def _choose_again(alerts: DataFrame, opened: DataFrame, effort: int, bucket: Column) -> DataFrame:
    """Choose again among all alerts of the objects with a bad one."""

    def choose(alerts: pd.DataFrame, tried: pd.DataFrame) -> pd.DataFrame:
        return choose_alerts(alerts, tried, effort)[[*PLACE, *KEY]]

    tried = opened.select(*OPENED, bucket)
    bad = tried.where("reason is not null").select("objectId").distinct()
    left, right = (table.join(bad, "objectId", "left_semi").groupBy("bucket") for table in (alerts, tried))
    return left.cogroup(right).applyInPandas(choose, from_arrow_schema(make_schema(PLACE | KEY)))


def _count_outcomes(alerts: DataFrame, tried: DataFrame) -> dict[tuple[str, str], int]:
    both = alerts.drop(*PLACE, "exposure", "leads").groupBy("bucket").cogroup(tried.groupBy("bucket"))
    rows = both.applyInPandas(count_outcomes, "what string, name string, n bigint").groupBy("what", "name")
    return {(row.what, row.name): row.n for row in rows.agg(sql.sum("n").alias("n")).collect()}


def _write_pairs(opened: DataFrame, labels: DataFrame | None, n_used: int, outputs: dict[str, Path]) -> None:
    """Write both tables in parts set by objectId alone, so that the same alerts give the same files."""
    shared = [] if labels is None else labels.columns[1:]
    winners = opened.drop("source", "member", "record")
    winners = winners if labels is None or not shared else winners.join(sql.broadcast(labels), "objectId")
    winners = winners.repartition(max(4, -(-n_used // _ALERTS_PER_PART)), "objectId")
    schema = to_arrow_schema(winners.schema)
    empty = schema.empty_table().append_column("place", pa.array([], pa.int64())).drop(["reason", "square"])
    with replacing(outputs["first_alerts"]) as first, replacing(outputs["pairs"]) as pairs:
        folders = {"first_alerts": first, "pairs": pairs}

        def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            number, table = TaskContext.get().partitionId(), pa.Table.from_batches(batches, schema)
            used = first_two(table.select([*KEY, "reason"]).to_pandas())
            alerts = table.drop(["reason", "square"]).take(pa.array(used.index))
            write_part(alerts.append_column("place", pa.array(used["place"])), number, shared, folders)
            yield pa.RecordBatch.from_pydict({"part": pa.array([number], pa.int32())})

        for folder in folders.values():
            folder.mkdir()
        with settings(winners.sparkSession, **{_READER_ROWS: _PACKETS_AT_ONCE}):
            if not winners.mapInArrow(write, "part int").collect():  # Spark runs no task on empty data
                write_part(empty, 0, shared, folders)


def _write_quarantine(notes: DataFrame, tried: DataFrame, passed_over: dict[str, str], path: Path) -> None:
    """Write the list of alerts, members and sources that could not be used, with the reason."""
    unread = notes.where(sql.col("kind").isin(*UNREAD)).select(*_QUARANTINE[:3], sql.col("text").alias("reason"))
    others = [(source, "", None, reason) for source, reason in passed_over.items()]
    bad = tried.where("reason is not null").select("objectId").distinct()
    lost = tried.join(bad, "objectId", "left_semi").groupBy("bucket")
    alerts = lost.applyInPandas(lambda group: bad_alerts(group)[[*_QUARANTINE]], _QUARANTINE_DDL)
    rows = unread.union(notes.sparkSession.createDataFrame(others, _QUARANTINE_DDL)).union(alerts)
    schema = to_arrow_schema(rows.schema)
    order = [(name, "ascending") for name in _QUARANTINE]
    integers = {pa.int64(): pd.Int64Dtype()}

    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        table = pa.Table.from_batches(batches, schema).sort_by(order)
        with replacing(path) as part:
            table.to_pandas(types_mapper=integers.get).to_parquet(part, index=False)
        yield pa.RecordBatch.from_pydict({"rows": pa.array([len(table)], pa.int64())})

    rows.repartition(1).mapInArrow(write, "rows bigint").collect()
