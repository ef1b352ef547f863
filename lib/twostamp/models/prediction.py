"""Predictions of a search's best two-alert model for objects without a label (thesis section 6.6)."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm.auto import tqdm

from twostamp.data.arrays import read_batches
from twostamp.data.tfrecords import Records
from twostamp.evaluation.predictions import Predictions
from twostamp.models.classifier import CARD, NETWORK, SCALER, Classifier
from twostamp.models.results import SPLITS, SearchResults
from twostamp.utils.files import replacing, write_file

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_OBJECTS_PER_TASK = 1000
"""Objects per task: loading TensorFlow takes as long as predicting some thousand objects."""

MADE_FROM = "_made_from.json"
"""File that names the inputs of the parts next to it; readers of Parquet folders skip names with an underscore."""


def predict_pairs(
    pairs: Path,
    object_ids: Sequence[str],
    classifier: Classifier,
    batch_size: int = 256,
    replaced: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Classify pairs of alerts with a trained two-alert model, a batch at a time.

    Parameters
    ----------
    pairs : Path
        ``unlabelled_pairs.parquet`` of the extraction.
    object_ids : sequence of str
        Objects to classify.
    classifier : Classifier
    batch_size : int
        Objects in memory at a time.
    replaced : DataFrame, index objectId, optional
        Replacement values of columns of the pairs, for example ``ra_1``.

    Returns
    -------
    DataFrame
        objectId, ra, dec (degrees, first alert), one probability per class (float32) and ``predicted``, sorted by
        objectId.
    """
    tables = []
    with tqdm(total=len(object_ids), unit="object", desc="predict") as progress:
        for batch in read_batches(pairs, batch_size, object_ids):
            if replaced is not None:
                batch = batch.assign(**replaced.loc[batch["objectId"]].reset_index(drop=True).set_index(batch.index))
            tables.append(_tabulate(batch, classifier))
            progress.update(len(batch))
    return pd.concat(tables).sort_values("objectId", ignore_index=True)


def _tabulate(batch: pd.DataFrame, classifier: Classifier) -> pd.DataFrame:
    """Tabulate the probabilities of a batch of pairs, with names and positions."""
    names = list(classifier.classes)
    probabilities = pd.DataFrame(classifier.predict_table(batch), columns=names)
    place = batch[["objectId", "ra_1", "dec_1"]].set_axis(["objectId", "ra", "dec"], axis=1)
    table = pd.concat([place.reset_index(drop=True), probabilities], axis=1)
    return table.assign(predicted=table[names].idxmax(axis=1))


def predict_on_spark(
    spark: "SparkSession",
    pairs: Path,
    model: Path,
    folder: Path,
    *,
    deltajd_max: float,
    batch_size: int = 256,
) -> pd.Series:
    """Classify all pairs that are close in time on a cluster, by the parts of their table.

    Each part is written as it ends, so a killed run resumes with the missing ones. Predictions of another model, or of
    other pairs, are replaced.

    Parameters
    ----------
    spark : SparkSession
    pairs : Path
        ``unlabelled_pairs.parquet`` of the extraction, on a file system that all workers share.
    model : Path
        Folder of a two-alert `Classifier`.
    folder : Path
        ``predictions.parquet``: receives a part for every part of the pairs, with the columns of `predict_pairs`.
    deltajd_max : float
        Days between the two alerts, at most.
    batch_size : int
        As for `predict_pairs`.

    Returns
    -------
    Series
        Objects predicted in this call, by part; empty if there was nothing left to do.
    """
    parts = sorted(path.name for path in pairs.glob("part-*.parquet"))
    made_from = _describe(pairs, parts, model, deltajd_max)
    note = folder / MADE_FROM
    if not note.exists() or json.loads(note.read_text()) != made_from:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_file(note, json.dumps(made_from))
    left = [name for name in parts if not (folder / name).exists()]
    way: dict[str, Any] = {"model": model, "pairs": pairs, "folder": folder}
    work = partial(predict_parts, **way, deltajd_max=deltajd_max, batch_size=batch_size)
    counts: dict[str, int] = {}
    objects = sum(pq.read_metadata(pairs / name).num_rows for name in left)
    tasks = max(1, min(spark.sparkContext.defaultParallelism, objects // _OBJECTS_PER_TASK))
    step = 4 * tasks
    spark.sparkContext.environment["KERAS_BACKEND"] = "tensorflow"  # trainings of this session may have had another
    with tqdm(total=len(parts), initial=len(parts) - len(left), unit="part", desc="predict") as progress:
        for start in range(0, len(left), step):
            chunk = left[start : start + step]
            names = spark.createDataFrame([(name,) for name in chunk], "part string")
            rows = names.coalesce(tasks).mapInPandas(work, "part string, objects bigint").collect()
            counts |= {row["part"]: row["objects"] for row in rows}
            progress.update(len(chunk))
    return pd.Series(counts, dtype="int64")


def predict_parts(
    batches: Iterator[pd.DataFrame], *, model: Path, pairs: Path, folder: Path, deltajd_max: float, batch_size: int
) -> Iterator[pd.DataFrame]:
    """Classify some parts of a table of pairs: the task of a Spark worker.

    Parameters
    ----------
    batches : iterator of DataFrame
        Column part: names of files in `pairs`.
    model, pairs, folder, deltajd_max, batch_size
        As for `predict_on_spark`.

    Yields
    ------
    DataFrame
        part, objects.
    """
    for batch in batches:
        for name in batch["part"]:
            days = pd.read_parquet(pairs / name, columns=["objectId", "deltajd"])
            recent = days.loc[days["deltajd"] <= deltajd_max, "objectId"].tolist()
            classifier = _load_once(model)
            numbers = [("ra", "float64"), ("dec", "float64"), *((name, "float32") for name in classifier.classes)]
            schema = pa.schema([("objectId", "string"), *numbers, ("predicted", "string")])
            tables = read_batches(pairs / name, batch_size, recent) if recent else ()
            found = [_tabulate(table, classifier) for table in tables]
            table = (
                pa.Table.from_pandas(pd.concat(found), schema, preserve_index=False) if found else schema.empty_table()
            )
            with replacing(folder / name) as part:
                pq.write_table(table, part)
            yield pd.DataFrame({"part": [name], "objects": [len(recent)]})


@lru_cache(maxsize=1)
def _load_once(model: Path) -> Classifier:
    """Load the model once for all parts of a worker."""
    return Classifier.load(model)


def _describe(pairs: Path, parts: list[str], model: Path, deltajd_max: float) -> dict[str, Any]:
    """Describe the inputs of predictions."""
    digests = [hashlib.sha256((model / name).read_bytes()).hexdigest() for name in (NETWORK, SCALER)]
    stats = [(pairs / name).stat() for name in parts]
    return {
        "pairs": {name: [stat.st_size, stat.st_mtime_ns] for name, stat in zip(parts, stats)},
        "model": [*digests, json.loads((model / CARD).read_text())["stamps"]],
        "deltajd_max": deltajd_max,
    }


def predict_shipped(pairs: Path, records: Records, splits: Sequence[str] = SPLITS) -> dict[str, Predictions]:
    """Apply the shipped classifier to splits of the records, prepared from the pairs with its own statistics.

    Parameters
    ----------
    pairs : Path
        ``pairs.parquet`` that the records were made from.
    records : Records
    splits : sequence of str

    Returns
    -------
    dict of Predictions
        By split; the one model's name says that it was trained on another survey. Empty for records of one alert or of
        a class that it does not know.
    """
    classifier, classes = Classifier.load(), list(records.info.classes)
    if records.info.n_alerts < 2 or not set(classes) <= set(classifier.classes):
        return {}
    found = {}
    for split in splits:
        objects = records.arrays(split)
        table = predict_pairs(pairs, objects.object_ids.tolist(), classifier).set_index("objectId")
        probabilities = table.loc[objects.object_ids, classes].to_numpy(np.float64)[None]
        name = f"shipped {classifier.variant}, trained on another {classifier.card['trained on']}"
        found[split] = Predictions(np.asarray(objects.labels), records.info.classes, {name: probabilities})
    return found


def predict_winners(winners: Mapping[str, SearchResults], records: Records, split: str) -> Predictions:
    """Predict one split of the records with every repetition of the winners.

    Parameters
    ----------
    winners : mapping of str to SearchResults
        Of `SearchResults.winners`, one at least.
    records : Records
    split : {"validation", "test"}

    Returns
    -------
    Predictions
        Predictions; the repetition that is best on validation comes first.
    """
    probabilities, labels = {}, np.empty(0, np.int64)
    for model, trials in winners.items():
        classifiers = [trial.load(records) for trial in trials.best_first()]
        arrays = classifiers[0].load_split(records, split)
        labels = np.asarray(arrays.labels)
        each = [classifier.predict_arrays(arrays) for classifier in classifiers]
        probabilities[model] = np.stack(each).astype(np.float64)
    return Predictions(labels, records.info.classes, probabilities)
