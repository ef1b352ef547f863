"""TFRecords of a data set: content, whole splits, and class-balanced batches (thesis chapter 5; decision T3).

TensorFlow is imported by the functions that need it. `twostamp.data.tfrecord_writer` makes the records.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twostamp.alerts.cutouts import SIZE
from twostamp.data.arrays import Arrays, Preparation, check_features, scale_deltajd
from twostamp.data.balance import class_turns
from twostamp.data.feature_lists import ALL_FEATURES, DELTAJD_FLOOR, FEATURE_LISTS
from twostamp.data.features import RECIPES, Scaler, clip_bounds
from twostamp.data.stamps import crop_stamps
from twostamp.data.survey_age import AGES, SurveyAges
from twostamp.utils.typing import Floats32, Ints

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

SCHEMA_VERSION = 1
SCALER_FILES = {"thesis": "scaler.json", "alerce": "scaler_alerce.json"}
ORDERS = ("first", "second")
INPUTS = ("stamps_1", "metadata_1", "stamps_2", "metadata_2", "deltajd")

_READ_BATCH = 128
CACHE_BYTES = 1 << 30
_STREAM_BUFFER = 1000  # objects per class among which a streamed one is drawn


class RecordsError(ValueError):
    """An unusable folder of records; the message is one sentence."""


def safe_name(class_name: str) -> str:
    """Name of a class as a folder: EB-EW for EB/EW."""
    return class_name.replace("/", "-")


@dataclass(frozen=True)
class DatasetInfo:
    """Content of ``dataset.json``.

    Attributes
    ----------
    schema_version : int
        `SCHEMA_VERSION` of the writer.
    fingerprint : str
        Of everything that the records were made from.
    classes : tuple of str
        In the order of the labels.
    feature_names : tuple of str
        Of the stored metadata, `twostamp.data.features.ALL_FEATURES`.
    n_alerts : int
        Alerts of each object, 2; 1 where only first alerts were given.
    preparation : Preparation
    counts : dict
        Objects by split and class.
    report : dict
        Stamps with missing pixels, without contrast, without pixels; alerts in other filters than g and r.
    shards : dict
        ``{"objects": ..., "bytes": ...}`` by file, relative to the folder.
    """

    schema_version: int
    fingerprint: str
    classes: tuple[str, ...]
    feature_names: tuple[str, ...]
    n_alerts: int
    preparation: Preparation
    counts: dict[str, dict[str, int]]
    report: dict[str, int]
    shards: dict[str, dict[str, int]]


@dataclass(frozen=True)
class Records:
    """TFRecords of a data set, and the recipe of its metadata.

    Parameters
    ----------
    folder : Path
        Folder of `twostamp.data.tfrecord_writer.write_records`; read on first use.
    recipe : {"thesis", "alerce"}
        See `twostamp.data.features.Scaler` (M5).
    cache_bytes : int
        A training set that takes more, cropped, is streamed from disk at every epoch.

    Raises
    ------
    ValueError
        The recipe is unknown.
    """

    folder: Path
    recipe: str = "thesis"
    cache_bytes: int = CACHE_BYTES

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder))
        if self.recipe not in RECIPES:
            raise ValueError(f"metadata recipe {self.recipe!r} is not one of {', '.join(RECIPES)}")

    @cached_property
    def info(self) -> DatasetInfo:
        """Return the description of the records; `RecordsError` if they cannot be used, or a shard is missing or
        incomplete."""
        return _read_info(self.folder)

    @cached_property
    def scaler(self) -> Scaler:
        """Statistics of the training set; a `ValueError` if they are of other features."""
        return Scaler.load(self.folder / SCALER_FILES[self.recipe])

    @cached_property
    def ages(self) -> SurveyAges | None:
        """Survey-age features of the training set; None in records of before they were kept."""
        return SurveyAges.load(self.folder / AGES)

    def steps_per_epoch(self, batch_size: int) -> int:
        """Training objects divided by the batch size, rounded up (T3)."""
        return -(-sum(self.info.counts["train"].values()) // batch_size)

    def arrays(self, split: str, features: str = "thesis26", crop: int = 21) -> Arrays:
        """Read one split into memory, class by class.

        Parameters
        ----------
        split : {"train", "validation", "test"}
        features : str
            Name in `FEATURE_LISTS`.
        crop : int
            Side of the stamps in pixels; an object takes 24 crop**2 bytes.

        Raises
        ------
        RecordsError, ValueError
            The records cannot be used; the split or the feature list is unknown.
        """
        import tensorflow as tf

        parse = self._make_parser(features, crop)
        if split not in self.info.counts:
            raise ValueError(f"split {split!r} is not one of {', '.join(self.info.counts)}")
        counts = [self.info.counts[split][name] for name in self.info.classes]
        paths = [path for name in self.info.classes for path in self._paths(split, name)]
        batches = tf.data.TFRecordDataset(paths).batch(_READ_BATCH).map(parse, num_parallel_calls=2, deterministic=True)
        columns = {name: _allocate(sum(counts), spec) for name, spec in batches.element_spec.items()}
        start = 0
        with _refusing_corrupt(self.folder):
            for batch in batches.as_numpy_iterator():
                stop = start + len(batch["oid"])
                for name, values in batch.items():
                    columns[name][start:stop] = values
                start = stop
        object_ids = columns.pop("oid").astype(bytes).astype(str)
        for alert in range(1, self.info.n_alerts + 1):
            columns[f"metadata_{alert}"] = self.scaler.transform(columns[f"metadata_{alert}"], alert, features)
        if "deltajd" in columns:
            columns["deltajd"] = scale_deltajd(columns["deltajd"], self.scaler)
        inputs: dict[str, Any] = {name: columns.get(name) for name in INPUTS}
        return Arrays(**inputs, labels=np.repeat(np.arange(len(counts)), counts), object_ids=object_ids)

    def batches(self, batch_size: int, *, features: str = "thesis26", crop: int = 21, seed: int = 0) -> Any:
        """Endless class-balanced training batches (chapter 5, T3).

        Each class is a separate stream, reshuffled at every pass, so a small class repeats while a large one is read.
        Places of a batch left over after equal shares go to the classes in turn. A training set of up to `cache_bytes`
        is parsed once per process.

        Parameters
        ----------
        batch_size : int
            Objects; at least one per class.
        features, crop
            As for `arrays`.
        seed : int
            The same seed gives the same batches.

        Returns
        -------
        tf.data.Dataset
            Of (inputs, labels): a dict of `INPUTS` (those of the first alert where there is no second), and one-hot
            labels, shape (batch_size, n_classes), float32.

        Raises
        ------
        RecordsError, ValueError
            As for `arrays`; a class has no training object; the batch is smaller than the number of classes.
        """
        import tensorflow as tf

        parse = self._make_parser(features, crop)
        n_classes, counts = len(self.info.classes), [self.info.counts["train"][name] for name in self.info.classes]
        if batch_size < n_classes:
            raise ValueError(f"batch size {batch_size} is smaller than the number of classes, {n_classes}")
        if 0 in counts:
            raise RecordsError(f"{self.folder}: class {self.info.classes[counts.index(0)]} has no training object")
        turns = tf.data.Dataset.from_tensor_slices(class_turns(n_classes, batch_size)).repeat()
        if sum(counts) * 24 * crop**2 <= self.cache_bytes:
            rows = [tf.data.Dataset.range(stop - n, stop) for n, stop in zip(counts, np.cumsum(counts), strict=True)]
            streams = [
                _reshuffle(stream, n, seed + label) for label, (stream, n) in enumerate(zip(rows, counts, strict=True))
            ]
            order = tf.data.Dataset.choose_from_datasets(streams, turns).batch(batch_size, drop_remainder=True)
            arrays = read_once(self, self.info.fingerprint, "train", features, crop)
            return take_batches(arrays, order, batch_size, n_classes).prefetch(2)
        streams = []
        for label, name in enumerate(self.info.classes):
            one_hot = tf.one_hot(label, n_classes)
            scale = partial(_scale, scaler=self.scaler, features=features)
            stream = _stream_class(self._paths("train", name), parse, scale, seed + label)
            stream = _reshuffle(stream, _STREAM_BUFFER, seed + label)
            streams.append(stream.map(lambda inputs, one_hot=one_hot: (inputs, one_hot)))
        objects = tf.data.Dataset.choose_from_datasets(streams, turns)
        return objects.batch(batch_size, drop_remainder=True).prefetch(2)

    def _paths(self, split: str, class_name: str) -> list[str]:
        """Shards of one class in one split."""
        prefix = f"{split}/{safe_name(class_name)}/"
        return [str(self.folder / name) for name in sorted(self.info.shards) if name.startswith(prefix)]

    def _make_parser(self, features: str, crop: int) -> Callable[[Any], dict[str, Any]]:
        """Check the request; return the function that parses a batch of serialised records."""
        check_features(features)
        crop_stamps(np.empty((1, SIZE, SIZE, 1), dtype=np.float32), crop)  # refuses an impossible size
        return partial(_parse, info=self.info, crop=crop)


@lru_cache(maxsize=4)
def read_once(records: Records, fingerprint: str, split: str, features: str, crop: int) -> Arrays:
    """Read a split once per process; the fingerprint is that of the folder's current content."""
    return records.arrays(split, features, crop)


def take_batches(arrays: Arrays, order: Any, batch_size: int, n_classes: int) -> Any:
    """Take rows from arrays in memory, batch by batch.

    Parameters
    ----------
    arrays : Arrays
        With labels.
    order : tf.data.Dataset
        Of rows, shape (batch_size,), int64.
    batch_size, n_classes : int

    Returns
    -------
    tf.data.Dataset
        As of `Records.batches`.
    """
    import tensorflow as tf

    inputs = {name: values for name in INPUTS if (values := getattr(arrays, name)) is not None}
    columns = [*inputs.values(), np.eye(n_classes, dtype=np.float32)[np.asarray(arrays.labels)]]

    def take(rows: Ints) -> list[Any]:
        return [values[rows] for values in columns]

    def gather(rows: Any) -> tuple[dict[str, Any], Any]:
        taken = tf.numpy_function(take, [rows], [tf.float32] * len(columns))
        *shaped, labels = (
            tf.ensure_shape(value, (batch_size, *column.shape[1:]))
            for value, column in zip(taken, columns, strict=True)
        )
        return dict(zip(inputs, shaped, strict=True)), labels

    return order.map(gather)


@contextmanager
def _refusing_corrupt(folder: Path) -> Iterator[None]:
    import tensorflow as tf

    try:
        yield
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
        raise RecordsError(f"{folder} is corrupt ({error.message}): run notebook 03 again after deleting it") from None


def _read_info(folder: Path) -> DatasetInfo:
    """Read and check the description that a folder of records holds."""
    try:
        content = json.loads((folder / "dataset.json").read_text())
    except FileNotFoundError:
        raise RecordsError(f"{folder} holds no records (no dataset.json): run notebook 03 first") from None
    except ValueError:
        raise RecordsError(f"{folder}/dataset.json is not JSON: run notebook 03 again") from None
    if (version := content.get("schema_version")) != SCHEMA_VERSION:
        raise RecordsError(f"{folder} has schema version {version}, not {SCHEMA_VERSION}: run notebook 03 again")
    if tuple(content["feature_names"]) != ALL_FEATURES:
        raise RecordsError(f"{folder} stores other features than this version computes: run notebook 03 again")
    for name, shard in content["shards"].items():
        if not (path := folder / name).exists() or path.stat().st_size != shard["bytes"]:
            raise RecordsError(f"{path} is missing or not whole: run notebook 03 again")
    lists = {name: tuple(content[name]) for name in ("classes", "feature_names")}
    return DatasetInfo(**content | lists | {"preparation": Preparation(**content["preparation"])})


def _allocate(count: int, spec: Any) -> NDArray[Any]:
    """Make an empty array for `count` objects of a field of a parsed batch."""
    kind = object if spec.dtype.name == "string" else spec.dtype.as_numpy_dtype
    return np.empty((count, *spec.shape[1:]), kind)


def _stream_class(paths: list[str], parse: Callable[..., Any], scale: Callable[..., Any], seed: int) -> Any:
    """Objects of one class, one by one, read from four shards at a time."""
    import tensorflow as tf

    shards = tf.data.Dataset.from_tensor_slices(paths).shuffle(len(paths), seed=seed)
    records = shards.interleave(tf.data.TFRecordDataset, cycle_length=4)
    parsed = records.batch(_READ_BATCH).map(parse, num_parallel_calls=2, deterministic=True)
    return parsed.map(scale, num_parallel_calls=2, deterministic=True).unbatch()


def _reshuffle(stream: Any, buffer: int, seed: int) -> Any:
    return stream.shuffle(buffer, seed=seed, reshuffle_each_iteration=True).repeat()


def _scale(columns: dict[str, Any], scaler: Scaler, features: str) -> dict[str, Any]:
    """Turn raw columns of `_parse` into model inputs as `Scaler` does.

    By TensorFlow's own operations: a Python function would let one batch wait for another. They give the scaler's
    metadata to the last bit; a logarithm, and so deltajd, may differ in the last.
    """
    import tensorflow as tf

    inputs = {name: values for name, values in columns.items() if name != "oid"}
    places = [scaler.names.index(name) for name in FEATURE_LISTS[features]]
    low, high = clip_bounds(FEATURE_LISTS[features], scaler.recipe)
    for alert, (mean, std) in enumerate(zip(scaler.mean, scaler.std, strict=True), start=1):
        if (name := f"metadata_{alert}") in inputs:
            raw = tf.cast(tf.gather(inputs[name], places, axis=1), tf.float64)
            raw = tf.clip_by_value(tf.where(tf.math.is_finite(raw), raw, tf.zeros_like(raw)), low, high)
            inputs[name] = tf.cast((raw - mean[places]) / std[places], tf.float32)
    if "deltajd" in inputs:
        days = tf.maximum(tf.cast(inputs["deltajd"], tf.float64), DELTAJD_FLOOR)
        ln_days = tf.cast(tf.cast(tf.math.log(days), tf.float32), tf.float64)
        inputs["deltajd"] = tf.cast((ln_days - scaler.deltajd[0]) / scaler.deltajd[1], tf.float32)[:, None]
    return inputs


def _parse(serialised: Any, info: DatasetInfo, crop: int) -> dict[str, Any]:
    """Turn a batch of serialised records into cropped stamps, raw metadata, days between the alerts, and ``oid``."""
    import tensorflow as tf

    text = tf.io.FixedLenFeature([], tf.string)
    numbers = tf.io.FixedLenFeature([len(ALL_FEATURES)], tf.float32)
    orders = ORDERS[: info.n_alerts]
    spec = {"oid": text} | ({"deltajd": tf.io.FixedLenFeature([], tf.float32)} if len(orders) == 2 else {})
    for order in orders:
        spec |= {f"{order}_stamp": text, f"{order}_metadata": numbers}
    record = tf.io.parse_example(serialised, spec)

    def prepare(stored: Floats32) -> Floats32:
        return info.preparation.prepare(np.moveaxis(stored, -1, 1), crop)

    columns = {"oid": record["oid"]}
    for alert, order in enumerate(orders, start=1):
        stored = tf.reshape(tf.io.decode_raw(record[f"{order}_stamp"], tf.float32), (-1, SIZE, SIZE, 3))
        if info.preparation.crop_before_normalising:
            prepared = tf.numpy_function(prepare, [stored], tf.float32)
            columns[f"stamps_{alert}"] = tf.ensure_shape(prepared, (None, crop, crop, 3))
        else:
            columns[f"stamps_{alert}"] = crop_stamps(stored, crop)
        columns[f"metadata_{alert}"] = record[f"{order}_metadata"]
    if "deltajd" in record:
        columns["deltajd"] = record["deltajd"]
    return columns
