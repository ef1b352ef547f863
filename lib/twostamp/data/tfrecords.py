"""Reading the TFRecords of a data set: whole splits, and class-balanced batches (thesis chapter 5; decision T3).

TensorFlow is imported by the functions that need it. `twostamp.data.tfrecord_writer` makes the records.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twostamp.alerts.cutouts import SIZE
from twostamp.data.arrays import Arrays, check_features, scale_deltajd
from twostamp.data.features import ALL_FEATURES, FEATURE_LISTS, Scaler
from twostamp.data.stamps import crop_stamps
from twostamp.data.tfrecord_writer import ORDERS, SCALER_FILES, DatasetInfo, RecordsError, read_info

READ_BATCH = 128
CACHE_BYTES = 1 << 30  # a training set that takes more, cropped, is streamed from disk at every epoch
STREAM_BUFFER = 1000  # objects per class among which a streamed one is drawn
INPUTS = ("stamps_1", "metadata_1", "stamps_2", "metadata_2", "deltajd")


def load_scaler(folder: Path, recipe: str = "thesis") -> Scaler:
    """Read the statistics of the training set.

    Parameters
    ----------
    folder : Path
        Of `write_records`.
    recipe : {"thesis", "alerce"}
        See M5.

    Raises
    ------
    ValueError
        The recipe is unknown, or the statistics are of other features.
    """
    if recipe not in SCALER_FILES:
        raise ValueError(f"metadata recipe {recipe!r} is not one of {', '.join(SCALER_FILES)}")
    return Scaler.load(Path(folder) / SCALER_FILES[recipe])


def load_arrays(
    folder: Path, split: str, *, features: str = "thesis26", crop: int = 21, recipe: str = "thesis"
) -> Arrays:
    """Read one split into memory, class by class.

    Parameters
    ----------
    folder : Path
        Of `write_records`.
    split : {"train", "validation", "test"}
    features : str
        Name in `twostamp.data.features.FEATURE_LISTS`.
    crop : int
        Side of the stamps in pixels; an object takes 24 crop**2 bytes.
    recipe : {"thesis", "alerce"}
        Of the metadata.

    Returns
    -------
    Arrays

    Raises
    ------
    RecordsError, ValueError
        The records cannot be used; the split, feature list or recipe is unknown.
    """
    import tensorflow as tf

    info, parse = _open(folder, features, crop, recipe)
    if split not in info.counts:
        raise ValueError(f"split {split!r} is not one of {', '.join(info.counts)}")
    counts = [info.counts[split][name] for name in info.classes]
    paths = [path for name in info.classes for path in info.paths(Path(folder), split, name)]
    batches = tf.data.TFRecordDataset(paths).batch(READ_BATCH).map(parse, num_parallel_calls=2, deterministic=True)
    columns = {
        name: np.empty((sum(counts), *spec.shape[1:]), object if spec.dtype == tf.string else spec.dtype.as_numpy_dtype)
        for name, spec in batches.element_spec.items()
    }
    start = 0
    try:
        for batch in batches.as_numpy_iterator():
            stop = start + len(batch["oid"])
            for name, values in batch.items():
                columns[name][start:stop] = values
            start = stop
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
        raise RecordsError(f"{folder} is corrupt ({error.message}): run notebook 03 again after deleting it") from None
    object_ids = columns.pop("oid").astype(bytes).astype(str)
    inputs: dict[str, Any] = {name: columns.get(name) for name in INPUTS}
    return Arrays(**inputs, labels=np.repeat(np.arange(len(counts)), counts), object_ids=object_ids)


def balanced_batches(
    folder: Path,
    *,
    batch_size: int,
    crop: int = 21,
    features: str = "thesis26",
    recipe: str = "thesis",
    seed: int = 0,
) -> Any:
    """Endless class-balanced training batches (chapter 5, T3).

    Each class is a stream of its own, shuffled anew at every pass, so that a small class repeats while a large one is
    being read. What is left of a batch after an equal share for each class goes round the classes in turn. A training
    set that fits in `CACHE_BYTES` is parsed once and kept.

    Parameters
    ----------
    folder : Path
        Of `write_records`.
    batch_size : int
        Objects; at least one per class.
    crop, features, recipe
        As for `load_arrays`.
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
        As for `load_arrays`; a class has no training object; the batch is smaller than the number of classes.
    """
    import tensorflow as tf

    info, parse = _open(folder, features, crop, recipe)
    n_classes, counts = len(info.classes), info.counts["train"]
    if batch_size < n_classes:
        raise ValueError(f"batch size {batch_size} is smaller than the number of classes, {n_classes}")
    if empty := [name for name in info.classes if not counts[name]]:
        raise RecordsError(f"{folder}: class {empty[0]} has no training object")
    cached = sum(counts.values()) * 24 * crop**2 <= CACHE_BYTES
    streams = []
    for label, name in enumerate(info.classes):
        one_hot = tf.one_hot(label, n_classes)
        stream = _read_class(info.paths(Path(folder), "train", name), parse, cached, seed + label)
        buffer = counts[name] if cached else STREAM_BUFFER
        stream = stream.shuffle(buffer, seed=seed + label, reshuffle_each_iteration=True).repeat()
        streams.append(stream.map(lambda inputs, one_hot=one_hot: (inputs, one_hot)))
    turns = tf.data.Dataset.from_tensor_slices(class_turns(n_classes, batch_size)).repeat()
    objects = tf.data.Dataset.choose_from_datasets(streams, turns)
    return objects.batch(batch_size, drop_remainder=True).prefetch(2)


def class_turns(n_classes: int, batch_size: int) -> NDArray[np.int64]:
    """Class of each place in consecutive batches, until the remainder has gone round (T3).

    Returns
    -------
    ndarray, shape (n_classes * batch_size,), int64

    Examples
    --------
    >>> class_turns(n_classes=3, batch_size=4).reshape(3, 4).tolist()
    [[0, 1, 2, 0], [0, 1, 2, 1], [0, 1, 2, 2]]
    """
    share, rest = divmod(batch_size, n_classes)
    equal = np.tile(np.arange(n_classes), share)
    extra = np.arange(n_classes * rest).reshape(n_classes, rest) % n_classes
    return np.concatenate([np.tile(equal, (n_classes, 1)), extra], axis=1).ravel()


def steps_per_epoch(folder: Path, batch_size: int) -> int:
    """Batches in an epoch: training objects divided by the batch size, rounded up (T3)."""
    return -(-sum(read_info(folder).counts["train"].values()) // batch_size)


def _read_class(paths: list[str], parse: Callable[..., Any], cached: bool, seed: int) -> Any:
    """Objects of one class, one by one; a class that is not kept in memory is read four shards at a time."""
    import tensorflow as tf

    if cached:
        records = tf.data.TFRecordDataset(paths)
    else:
        shards = tf.data.Dataset.from_tensor_slices(paths).shuffle(len(paths), seed=seed)
        records = shards.interleave(tf.data.TFRecordDataset, cycle_length=4)
    parsed = records.batch(READ_BATCH).map(parse, num_parallel_calls=2, deterministic=True).unbatch()
    inputs = parsed.map(lambda columns: {name: values for name, values in columns.items() if name != "oid"})
    return inputs.cache() if cached else inputs


def _open(folder: Path, features: str, crop: int, recipe: str) -> tuple[DatasetInfo, Callable[[Any], dict[str, Any]]]:
    """Check the request; return what the records are and the function that parses a batch of them."""
    check_features(features)
    crop_stamps(np.empty((1, SIZE, SIZE, 1), dtype=np.float32), crop)  # refuses an impossible size
    info, scaler = read_info(folder), load_scaler(folder, recipe)
    return info, lambda serialised: _parse(serialised, info, scaler, features, crop)


def _parse(serialised: Any, info: DatasetInfo, scaler: Scaler, features: str, crop: int) -> dict[str, Any]:
    """Turn a batch of serialised records into model inputs and ``oid``."""
    import tensorflow as tf

    text = tf.io.FixedLenFeature([], tf.string)
    numbers = tf.io.FixedLenFeature([len(ALL_FEATURES)], tf.float32)
    orders = ORDERS[: info.n_alerts]
    spec = {"oid": text} | ({"deltajd": tf.io.FixedLenFeature([], tf.float32)} if len(orders) == 2 else {})
    for order in orders:
        spec |= {f"{order}_stamp": text, f"{order}_metadata": numbers}
    record = tf.io.parse_example(serialised, spec)

    def run(function: Callable[..., Any], values: Any, *shape: int) -> Any:
        return tf.ensure_shape(tf.numpy_function(function, [values], tf.float32), (None, *shape))

    columns = {"oid": record["oid"]}
    for alert, order in enumerate(orders, start=1):
        whole = tf.reshape(tf.io.decode_raw(record[f"{order}_stamp"], tf.float32), (-1, SIZE, SIZE, 3))
        stamps = crop_stamps(whole, crop)
        if info.preparation.crop_before_normalising:
            stamps = run(info.preparation.after_crop, stamps, crop, crop, 3)
        columns[f"stamps_{alert}"] = stamps
        columns[f"metadata_{alert}"] = run(
            lambda raw, alert=alert: scaler.transform(raw, alert, features),
            record[f"{order}_metadata"],
            len(FEATURE_LISTS[features]),
        )
    if "deltajd" in record:
        columns["deltajd"] = run(lambda days: scale_deltajd(days, scaler), record["deltajd"], 1)
    return columns
