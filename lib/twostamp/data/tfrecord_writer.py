"""Writing the TFRecords of a data set (thesis section 3.6; decisions S3, M4, M8). `twostamp.data.tfrecords` reads them.

A folder of records holds ``<split>/<class>/*.tfrecord``, the statistics of the training set (``scaler.json``, and
``scaler_alerce.json`` for the other recipe) and ``dataset.json``, which describes it.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from twostamp.data.arrays import Preparation, channels_last, count_alerts, read_batches, read_images
from twostamp.data.features import ALL_FEATURES, RECIPES, Scaler, compute_features, count_other_filters, ln_deltajd
from twostamp.data.splits import SPLITS
from twostamp.data.stamps import count_degenerate, normalise_stamps
from twostamp.data.survey_age import AGES, SurveyAges
from twostamp.data.tfrecords import ORDERS, SCALER_FILES, SCHEMA_VERSION, DatasetInfo, Records, RecordsError, safe_name
from twostamp.taxonomy import LABEL_COLUMNS
from twostamp.utils.files import replacing
from twostamp.utils.fingerprints import hash_code
from twostamp.utils.typing import Floats32

_SHARD_OBJECTS = 1000  # 95 kB each
_CODE = ("arrays.py", "decode.py", "features.py", "stamps.py", "survey_age.py", "tfrecord_writer.py")
"""Modules that decide the content of records."""


def write_records(
    pairs_path: Path,
    assignment: pd.DataFrame,
    folder: Path,
    classes: Sequence[str],
    preparation: Preparation = Preparation(),
    *,
    seed: int = 0,
) -> DatasetInfo:
    """Write the TFRecords of a data set and the statistics of its training set, unless they are there already.

    Streams the stamps: memory holds a batch, then a shard. Shards are random draws of their class, so that reading
    them one after another mixes the years. Bytes depend on the arguments, not on the order of the rows.

    Parameters
    ----------
    pairs_path : Path
        ``pairs.parquet``; from ``first_alerts.parquet`` one gets records of one alert.
    assignment : DataFrame
        Columns objectId, classALeRCE, subclassALeRCE, split, as `twostamp.data.splits.split_objects` returns them.
    folder : Path
        Replaced as a whole, once everything is written.
    classes : sequence of str
        In the order of the labels.
    preparation : Preparation
        Of the stamps.
    seed : int
        Of the order of the records.

    Returns
    -------
    DatasetInfo

    Raises
    ------
    RecordsError
        An object is not in the pairs, its class not in `classes`, or there is nothing to train with.
    """
    plan = _plan_shards(assignment, classes, seed)
    fingerprint = _fingerprint(pairs_path, plan, classes, preparation)
    if finished := _find_finished(folder, fingerprint):
        return finished
    with replacing(folder) as part:
        metadata, ln_days, report, arrived = _spool(pairs_path, plan, part, preparation)
        shards = {name: _sort_shard(part / name, places) for name, places in sorted(arrived.items())}
        train = (plan["split"] == "train").to_numpy()
        for recipe in RECIPES:
            scaler = Scaler.fit(metadata[train, 0], metadata[train, -1], ln_days[train], recipe)
            scaler.save(part / SCALER_FILES[recipe])
        labels = plan.loc[train, "classALeRCE"].map(list(classes).index)
        SurveyAges.measure(list(metadata[train].swapaxes(0, 1)), labels).save(part / AGES)
        sizes = plan.groupby(["split", "classALeRCE"]).size().to_dict()
        counts = {split: {name: int(sizes.get((split, name), 0)) for name in classes} for split in SPLITS}
        names, n_alerts = tuple(classes), metadata.shape[1]
        info = DatasetInfo(
            SCHEMA_VERSION, fingerprint, names, ALL_FEATURES, n_alerts, preparation, counts, report, shards
        )
        (part / "dataset.json").write_text(json.dumps(asdict(info), indent=1) + "\n")
    return info


def _find_finished(folder: Path, fingerprint: str) -> DatasetInfo | None:
    try:
        info = Records(folder).info
    except RecordsError:
        return None
    return info if info.fingerprint == fingerprint else None


def _plan_shards(assignment: pd.DataFrame, classes: Sequence[str], seed: int) -> pd.DataFrame:
    """Add each object's shard and its place in it; sorted by objectId."""
    plan = assignment[[*LABEL_COLUMNS, "split"]].sort_values("objectId", ignore_index=True)
    if foreign := sorted(set(plan["classALeRCE"]) - set(classes)):
        raise RecordsError(f"class {foreign[0]} of the assignment is not among the classes {', '.join(classes)}")
    if not (plan["split"] == "train").any():
        raise RecordsError("the assignment has no object to train with")
    lot = pd.Series(np.random.default_rng([seed, 2]).permutation(len(plan)))
    place = lot.groupby([plan["split"], plan["classALeRCE"]]).rank(method="first").astype(int) - 1
    number = (place // _SHARD_OBJECTS).map("{:05d}".format)
    plan["shard"] = plan["split"] + "/" + plan["classALeRCE"].map(safe_name) + "/" + number + ".tfrecord"
    return plan.assign(place=place)


def _fingerprint(pairs_path: Path, plan: pd.DataFrame, classes: Sequence[str], preparation: Preparation) -> str:
    """Hash of the plan, the settings, the code and the content of the Parquet files."""
    digests = [hash_code(Path(__file__).parent, _CODE)]
    for path in sorted(Path(pairs_path).glob("*.parquet")):
        with path.open("rb") as stream:
            digests.append(hashlib.file_digest(stream, "sha256").hexdigest())
    settings = [SCHEMA_VERSION, _SHARD_OBJECTS, ALL_FEATURES, list(classes), asdict(preparation), digests]
    digest = hashlib.sha256(json.dumps(settings).encode())
    digest.update(plan.to_csv(index=False).encode())
    return digest.hexdigest()


def _spool(
    pairs_path: Path, plan: pd.DataFrame, folder: Path, preparation: Preparation
) -> tuple[Floats32, Floats32, dict[str, int], dict[str, list[int]]]:
    """Append each record to its shard as it comes.

    Returns
    -------
    metadata, ln_days : ndarray, shapes (n, n_alerts, k) and (n,)
        Raw features and ln deltajd (0 without a second alert), in the plan's order.
    report : dict
        As in `DatasetInfo`.
    arrived : dict of list of int
        Places of the records, in the order of arrival, by shard.
    """
    import tensorflow as tf

    alerts = range(1, count_alerts(pairs_path) + 1)
    metadata = np.empty((len(plan), len(alerts), len(ALL_FEATURES)), dtype=np.float32)
    ln_days = np.zeros(len(plan), dtype=np.float32)
    seen = np.zeros(len(plan), dtype=bool)
    report: Counter[str] = Counter()
    arrived: dict[str, list[int]] = {name: [] for name in plan["shard"]}
    row_of = {name: i for i, name in enumerate(plan["objectId"])}
    entries: list[Any] = list(plan.itertuples())
    with ExitStack() as stack, tqdm(total=len(plan), unit="object", desc="records") as progress:
        writers = {}
        for name in arrived:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            writers[name] = stack.enter_context(tf.io.TFRecordWriter(str(folder / name)))
        for table in read_batches(pairs_path, object_ids=plan["objectId"].tolist()):
            rows = [row_of[name] for name in table["objectId"]]
            stamps = [_prepare(table, alert, preparation, report) for alert in alerts]
            metadata[rows] = np.stack([compute_features(table, alert) for alert in alerts], axis=1)
            days = table["deltajd"].to_numpy(dtype=np.float32) if len(alerts) == 2 else None
            ln_days[rows] = 0 if days is None else ln_deltajd(days)
            for i, row in enumerate(rows):
                entry = entries[row]
                content = [triplets[i] for triplets in stamps], metadata[row], None if days is None else days[i]
                writers[entry.shard].write(_serialise(entry, *content))
                arrived[entry.shard].append(entry.place)
            progress.update(len(table))
            seen[rows] = True
    if len(lost := plan.loc[~seen, "objectId"]):
        raise RecordsError(f"{pairs_path} lacks {len(lost)} assigned objects, {lost.iloc[0]} the first of them")
    return metadata, ln_days, dict(report), arrived


def _prepare(table: pd.DataFrame, alert: int, preparation: Preparation, report: Counter[str]) -> Floats32:
    """Prepare the stamps of one alert for storage, and count unusual ones in the report (S2, M4)."""
    raw = read_images(table, alert)
    normalised = normalise_stamps(raw, preparation.normalisation, preparation.nan_value)
    # a few pixels rule nearly all stamps out, so that only suspects are checked whole
    probe = normalised[..., ::16, ::16]
    suspect = ((probe == 0) | (probe == preparation.nan_value)).all(axis=(2, 3)).any(axis=1)
    degenerate = count_degenerate(normalised[suspect], preparation.nan_value)
    report["stamps"] += 3 * len(raw)
    report["with missing pixels"] += int((~np.isfinite(raw)).any(axis=(2, 3)).sum())
    report["without contrast"] += degenerate.flat
    report["without pixels"] += degenerate.empty
    report["alerts in other filters than g and r"] += count_other_filters(table, alert)
    return channels_last(raw if preparation.crop_before_normalising else normalised)


def _serialise(entry: Any, stamps: list[Floats32], metadata: Floats32, deltajd: float | None) -> bytes:
    """One object as a tf.train.Example; the stamps as their little-endian bytes."""
    from tensorflow.train import BytesList, Example, Feature, Features, FloatList, Int64List

    texts = {
        "oid": entry.objectId.encode(),
        "classALeRCE": entry.classALeRCE.encode(),
        "subclassALeRCE": entry.subclassALeRCE.encode(),
    }
    numbers = {} if deltajd is None else {"deltajd": [deltajd]}
    for order, triplet, values in zip(ORDERS, stamps, metadata, strict=False):
        texts[f"{order}_stamp"] = triplet.astype("<f4", copy=False).tobytes()
        numbers[f"{order}_metadata"] = values
    feature = {name: Feature(bytes_list=BytesList(value=[text])) for name, text in texts.items()}
    feature |= {name: Feature(float_list=FloatList(value=values)) for name, values in numbers.items()}
    feature["schema_version"] = Feature(int64_list=Int64List(value=[SCHEMA_VERSION]))
    # the features are a map, whose order is only fixed on demand
    return Example(features=Features(feature=feature)).SerializeToString(deterministic=True)


def _sort_shard(path: Path, places: list[int]) -> dict[str, int]:
    """Put the records of a finished shard in their places."""
    import tensorflow as tf

    records = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    with replacing(path) as part, tf.io.TFRecordWriter(str(part)) as writer:
        for i in np.argsort(places):
            writer.write(records[i])
    return {"objects": len(records), "bytes": path.stat().st_size}
