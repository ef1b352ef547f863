"""First two alerts of every labelled object, on Spark (thesis, section 3.2).

The key pass reads the key of every alert and keeps those of labelled objects. The stamp pass opens only the packets
that rank first and second, and an object's next ones when a stamp is bad. Stamps that lose are never shuffled, nor even
decoded.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from functools import partial, reduce
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as sql
from pyspark.sql.pandas.types import to_arrow_schema

from twostamp.alerts.archive import measure_sources, survey_archive
from twostamp.alerts.cutouts import STAMPS
from twostamp.alerts.extraction_report import ExtractionReport
from twostamp.alerts.extraction_tasks import KEY, PLACE, SCAN, SUMS, merge_types, open_source, scan_source, write_part
from twostamp.alerts.first_two import bad_alerts, choose_alerts, first_two
from twostamp.alerts.packet import read_candidate_types, read_schema, write_packets
from twostamp.taxonomy import LABEL_COLUMNS
from twostamp.utils.files import replacing
from twostamp.utils.fingerprints import describe_input, hash_code
from twostamp.utils.spark import map_and_store, map_inputs, store

_OPENED = PLACE | KEY | {"reason": "string", "square": "bool"}
_PANDAS_TYPES = {"string": "object", "int64": "int64", "double": "float64", "bool": "object"}
_ALERTS_PER_PART = 2000
_LONGEST_SUPERNOVA = 365.0  # days between the first two alerts of one, at most
_UNREAD = ("bad", "damaged", "passed")
_NOTES = ("kind", "source", "member", "text", *SUMS)
_RESERVED = {*_OPENED, *STAMPS, *LABEL_COLUMNS, "place", "deltajd"}


def extract_first_two(
    spark: SparkSession, archive: str, labels: pd.DataFrame | None, folder: Path, *, prefix: str = ""
) -> ExtractionReport:
    """Extract the first two alerts of every wanted object.

    The first two are the two smallest distinct jd among distinct candid with three whole stamps; of several at one jd
    the smallest candid (decision D9). Writes ``first_alerts.parquet`` and ``pairs.parquet`` (folders) and
    ``quarantine.parquet``. An output made from the same files and labels is left as it is, and a run that was
    killed goes on with what it had stored.

    Parameters
    ----------
    spark : SparkSession
    archive : str
        Folder, tarball or URL of alerts.
    labels : DataFrame or None
        objectId (unique), classALeRCE, subclassALeRCE. With objectId alone, or None for every object of the archive,
        the output has no labels.
    folder : Path
        Where to write, on a file system that all workers share.
    prefix : str
        Put before the names of the outputs; without labels the default is ``unlabelled_``.

    Returns
    -------
    ExtractionReport

    Raises
    ------
    ArchiveError
        If the archive holds no alerts. Damaged sources and packets do not raise: they are rows of the quarantine.
    ValueError
        If an object is labelled twice.
    """
    started = time.monotonic()
    labels = None if labels is None else _check_labels(labels)
    prefix = prefix or ("" if labels is not None and "classALeRCE" in labels else "unlabelled_")
    sizes, passed_over = survey_archive(archive)
    fingerprint = _make_fingerprint(archive, sizes | passed_over, labels)
    folder = Path(folder).resolve()
    report_path = folder / f"{prefix}extraction.json"
    outputs = {name: folder / f"{prefix}{name}.parquet" for name in ("first_alerts", "pairs", "quarantine")}
    done = ExtractionReport.load(report_path, fingerprint)
    if done is not None and all(path.exists() for path in outputs.values()):
        return done
    report_path.unlink(missing_ok=True)
    scratch = folder / f".{prefix}extraction-{fingerprint[:12]}"
    for left in set(folder.glob(f".{prefix}extraction-*")) - {scratch}:  # of a killed run on other inputs
        shutil.rmtree(left)
    report = _extract(spark, sizes, labels, scratch, outputs, passed_over)
    report.seconds = round(time.monotonic() - started, 3)
    report.save(report_path, fingerprint)
    shutil.rmtree(scratch)
    return report


def read_objects(spark: SparkSession, archive: str) -> pd.DataFrame:
    """List the objects of an archive (section 6.6).

    Returns
    -------
    DataFrame
        objectId, ra and dec (degrees, of the first alert), n_alerts (exposures: distinct jd), sorted by objectId.
    """
    sizes = measure_sources(archive)
    scan = map_inputs(spark, dict.fromkeys(sizes), sizes, partial(scan_source, wanted=None), SCAN)
    order = sql.struct("jd", "candid")
    positions = [sql.min_by(name, order).alias(name) for name in ("ra", "dec")]
    exposures = sql.count_distinct("jd").alias("n_alerts")
    objects = scan.where("kind = 'alert'").groupBy("objectId").agg(*positions, exposures)
    return objects.toPandas().sort_values("objectId", ignore_index=True)


def _check_labels(labels: pd.DataFrame) -> pd.DataFrame:
    twice = labels.loc[labels["objectId"].duplicated(), "objectId"]
    if len(twice):
        raise ValueError(f"{twice.iloc[0]} is labelled twice: clean the labels with twostamp.data.labels.read_labels")
    return labels[[name for name in LABEL_COLUMNS if name in labels]].sort_values("objectId", ignore_index=True)


def _make_fingerprint(archive: str, found: dict[str, int | str], labels: pd.DataFrame | None) -> str:
    wanted = "" if labels is None else labels.to_csv(index=False)
    text = json.dumps(found) + describe_input(archive) + hash_code(Path(__file__).parent) + wanted
    return hashlib.sha256(text.encode()).hexdigest()


def _extract(
    spark: SparkSession,
    sizes: dict[str, int],
    labels: pd.DataFrame | None,
    scratch: Path,
    outputs: dict[str, Path],
    passed_over: dict[str, str],
) -> ExtractionReport:
    wanted = None if labels is None else frozenset(labels["objectId"])
    work = partial(scan_source, wanted=wanted)
    scan = map_and_store(spark, dict.fromkeys(sizes), sizes, work, SCAN, scratch / "keys")
    candid = sql.col("candid").cast("string")  # pandas would make a float of it
    notes = scan.where("kind != 'alert'").select(*_NOTES, candid.alias("candid")).toPandas()
    alerts = store(_rank_alerts(scan), scratch / "alerts")
    first = alerts.where("exposure <= 2").toPandas()
    opened, tried = _open_winners(alerts, first, sizes, _find_fields(notes), scratch)
    used = first_two(tried)
    _write_pairs(opened, used, labels, outputs)
    quarantine = _make_quarantine(notes, tried, passed_over)
    with replacing(outputs["quarantine"]) as part:
        quarantine.to_parquet(part, index=False)
    report = _make_report(notes, alerts, used, bad_alerts(tried))
    report.passed_over += len(passed_over)
    _count_objects(report, first["objectId"].nunique(), used, labels)
    report.sources, report.archive_bytes = len(sizes), sum(sizes.values())
    report.written_bytes = sum(file.stat().st_size for path in outputs.values() for file in path.glob("*.parquet"))
    report.check()
    return report


def _rank_alerts(scan: DataFrame) -> DataFrame:
    """Keep one of the copies of an alert (same candid), the first in the order of the archive; rank the exposures."""
    keys = scan.where("kind = 'alert'").select(*PLACE, *KEY).repartition("objectId")  # the one shuffle of both steps
    first = sql.min(sql.struct(*PLACE, "jd")).alias("first")
    alerts = keys.groupBy("objectId", "candid").agg(first, sql.count("*").alias("copies"))
    exposure = sql.dense_rank().over(Window.partitionBy("objectId").orderBy("jd"))
    return alerts.select("first.*", "objectId", "candid", "copies").withColumn("exposure", exposure)


def _find_fields(notes: pd.DataFrame) -> dict[str, str]:
    """Fields of ``candidate`` in schema 3.3 and in any packet of the archive, with their Arrow types."""
    seen = notes.loc[notes["kind"] == "fields", "text"].unique()
    base = read_candidate_types(write_packets([], read_schema()))
    fields = reduce(merge_types, map(json.loads, sorted(seen)), base)
    fields |= {
        name: kind for name, kind in base.items() if fields[name] == "string"
    }  # one odd packet changes no number
    once = {name.lower(): name for name in reversed(fields) if name not in _RESERVED}  # Spark's names have no case
    return {name: kind for name, kind in fields.items() if once.get(name.lower()) == name}


def _open_winners(
    alerts: DataFrame, first: pd.DataFrame, sizes: dict[str, int], fields: dict[str, str], scratch: Path
) -> tuple[DataFrame, pd.DataFrame]:
    """Open packets, round after round, until every object has two whole alerts or none left to try."""
    columns = _OPENED | fields | dict.fromkeys(STAMPS, "binary")
    work, spark = partial(open_source, fields=fields), alerts.sparkSession
    opened = map_inputs(spark, {}, sizes, work, columns)
    tried = pd.DataFrame({name: pd.Series(dtype=_PANDAS_TYPES[kind]) for name, kind in _OPENED.items()})
    for attempt in count():
        bad = tried.loc[tried["reason"].notna(), ["objectId"]].drop_duplicates()
        if attempt:  # of the objects with a bad alert, all alerts are candidates
            first = alerts.join(spark.createDataFrame(bad), "objectId").toPandas() if len(bad) else first[:0]
        left = choose_alerts(first, tried, effort=4**attempt)
        if left.empty:
            return opened, tried
        frame = map_and_store(spark, _make_tasks(left), sizes, work, columns, scratch / f"stamps-{attempt + 1}")
        opened = opened.union(frame) if attempt else frame
        tried = opened.select(*_OPENED).toPandas()
    raise AssertionError  # count() does not end


def _make_tasks(left: pd.DataFrame) -> dict[str, dict[str, list[dict]]]:
    """Group the alerts to open by source and member."""
    tasks: dict[str, dict[str, list[dict]]] = {}
    for row in left.sort_values(list(PLACE))[[*PLACE, *KEY]].to_dict("records"):
        tasks.setdefault(row.pop("source"), {}).setdefault(row.pop("member"), []).append(row)
    return tasks


def _write_pairs(opened: DataFrame, used: pd.DataFrame, labels: pd.DataFrame | None, outputs: dict[str, Path]) -> None:
    """Write both tables in parts that objectId alone decides, so that the same alerts give the same files."""
    shared = [] if labels is None else [name for name in LABEL_COLUMNS[1:] if name in labels]
    places = used[["objectId", "candid", "place"]]
    places = places if labels is None else places.merge(labels, on="objectId")
    ddl = "objectId string, candid bigint, place bigint" + "".join(f", {name} string" for name in shared)
    winners = opened.join(opened.sparkSession.createDataFrame(places, ddl), ["objectId", "candid"])
    winners = winners.drop(*_OPENED.keys() - KEY).repartition(max(4, -(-len(used) // _ALERTS_PER_PART)), "objectId")
    schema = to_arrow_schema(winners.schema)
    with replacing(outputs["first_alerts"]) as first, replacing(outputs["pairs"]) as pairs:
        folders = {"first_alerts": first, "pairs": pairs}

        def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            number = TaskContext.get().partitionId()
            write_part(pa.Table.from_batches(batches, schema), number, shared, folders)
            yield pa.RecordBatch.from_pydict({"part": pa.array([number], pa.int32())})

        for folder in folders.values():
            folder.mkdir()
        if not winners.mapInArrow(write, "part int").collect():  # Spark runs no task where there is nothing
            write_part(schema.empty_table(), 0, shared, folders)


def _make_quarantine(notes: pd.DataFrame, tried: pd.DataFrame, passed_over: dict[str, str]) -> pd.DataFrame:
    """List every alert, member and source that could not be used, with the reason."""
    columns = ["source", "member", "candid", "reason"]
    others = pd.DataFrame({"source": passed_over.keys(), "member": "", "candid": None, "text": passed_over.values()})
    unread = pd.concat([notes[notes["kind"].isin(_UNREAD)], others]).rename(columns={"text": "reason"})[columns]
    unread["candid"] = unread["candid"].map(int, na_action="ignore").astype("Int64")
    table = pd.concat([unread, bad_alerts(tried)[columns].astype({"candid": "Int64"})])
    return table.sort_values(columns[:3], ignore_index=True)


def _make_report(notes: pd.DataFrame, alerts: DataFrame, used: pd.DataFrame, bad: pd.DataFrame) -> ExtractionReport:
    """Count where every alert went, each count by itself, so that their sum can be checked."""
    nights = notes[notes["kind"] == "night"].groupby("text")[list(SUMS)].sum().astype("int64")
    kinds = notes["kind"].value_counts()
    unread = int(notes.loc[notes["kind"] == "bad", "alerts"].sum())
    states, n_keys = _count_states(alerts, used, bad)
    both = used.groupby("objectId")["square"].agg(["first", "last", "size"]).query("size == 2")[["first", "last"]]
    both = both.astype(bool)
    return ExtractionReport(
        alerts_read=int(nights["alerts"].sum()) + unread,
        alerts_used=states.get("used", 0),
        alerts_quarantined=unread + states.get("quarantined", 0),
        alerts_not_selected={
            "object not labelled": int(nights["unlabelled"].sum()),
            "copy of an alert (same candid)": n_keys - sum(states.values()),
            "same exposure as a used alert": states.get("same exposure", 0),
            "third or later": states.get("later", 0),
        },
        not_public=int(nights["partnership"].sum()),
        damaged_sources=int(kinds.get("damaged", 0)),
        passed_over=int(kinds.get("passed", 0)),
        square_stamps={
            "first": float(both["first"].mean()),
            "second": float(both["last"].mean()),
            "both": float(both.all(axis=1).mean()),
        },
        bytes_per_night={str(night): int(size) for night, size in nights["bytes"].items()},
    )


def _count_states(alerts: DataFrame, used: pd.DataFrame, bad: pd.DataFrame) -> tuple[dict[str, int], int]:
    """Count the distinct alerts of wanted objects by what became of them, and all keys, copies among them."""
    spark, key = alerts.sparkSession, ["objectId", "candid"]
    wide = used.pivot_table(index="objectId", columns="place", values="jd").reindex(columns=[1, 2]).reset_index()
    places = spark.createDataFrame(
        wide.set_axis(["objectId", "jd_1", "jd_2"], axis=1), "objectId string, jd_1 double, jd_2 double"
    )
    marked = pd.concat([used[key].assign(mark="used"), bad[key].assign(mark="quarantined")])
    marks = spark.createDataFrame(marked, "objectId string, candid bigint, mark string")
    state = (
        sql.when(sql.col("mark").isNotNull(), sql.col("mark"))
        .when((sql.col("jd") == sql.col("jd_1")) | (sql.col("jd") == sql.col("jd_2")), "same exposure")
        .when(sql.col("jd") > sql.col("jd_2"), "later")
        .otherwise("unexplained")
    )
    joined = alerts.join(places, "objectId", "left").join(marks, key, "left").groupBy(state.alias("state"))
    counts = joined.agg(sql.count("*"), sql.sum("copies")).collect()
    return {state: n for state, n, _ in counts}, sum(copies for *_, copies in counts)


def _count_objects(report: ExtractionReport, found: int, used: pd.DataFrame, labels: pd.DataFrame | None) -> None:
    n_used = used.groupby("objectId").size()
    wanted = found if labels is None else len(labels)
    report.objects = {
        "wanted": wanted,
        "found in the archive": found,
        "absent from the archive": wanted - found,
        "without a whole alert": found - len(n_used),
        "with one alert only": int((n_used == 1).sum()),
        "with two alerts": int((n_used == 2).sum()),
    }
    if labels is not None and "classALeRCE" in labels:
        supernovae = labels.loc[labels["classALeRCE"] == "SN", "objectId"]
        spans = used[used["objectId"].isin(supernovae)].groupby("objectId")["jd"].agg(np.ptp)
        report.contradicted = sorted(spans.index[spans > _LONGEST_SUPERNOVA])
    if labels is not None and {*LABEL_COLUMNS} <= {*labels}:
        n = labels["objectId"].map(n_used).fillna(0)
        groups = labels.assign(found=n > 0, pairs=n == 2).groupby(LABEL_COLUMNS[1:])
        counts = groups.agg(labelled=("objectId", "size"), found=("found", "sum"), pairs=("pairs", "sum"))
        report.classes = counts.reset_index().to_numpy().tolist()
