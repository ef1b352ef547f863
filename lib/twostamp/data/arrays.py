"""Pairs of alerts as input arrays of classifiers: one code path for records, prediction and first alerts alone.

Reads the extraction's Parquet folders (metadata at once, stamps by the batch) and never imports TensorFlow.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
from numpy.typing import NDArray

from twostamp.alerts.cutouts import SIZE, STAMPS, read_stamp, repair_stamp
from twostamp.data.features import FEATURE_LISTS, PACKET_FIELDS, Scaler, compute_features, ln_deltajd
from twostamp.data.stamps import crop_stamps, normalise_stamps
from twostamp.params import Parameters
from twostamp.utils.files import replacing
from twostamp.utils.typing import Floats32, Ints

POSITION = ("xpos", "ypos")
"""Fields of ``candidate`` with the position of a stamp on the chip."""


@dataclass(frozen=True)
class Arrays:
    """n objects, ready for a model.

    Attributes
    ----------
    stamps_1, stamps_2 : ndarray, shape (n, crop, crop, 3), float32
        Science, template, difference of the first and the second alert, normalised.
    metadata_1, metadata_2 : ndarray, shape (n, k), float32
        Standardised features of one list.
    deltajd : ndarray, shape (n, 1), float32
        Standardised ln deltajd.
    labels : ndarray, shape (n,), int64
        Index of the class.
    object_ids : ndarray, shape (n,), str

    Without second alerts stamps_2, metadata_2 and deltajd are None; without classes labels is None.
    """

    stamps_1: Floats32
    stamps_2: Floats32 | None
    metadata_1: Floats32
    metadata_2: Floats32 | None
    deltajd: Floats32 | None
    labels: Ints | None
    object_ids: NDArray[Any]

    def __len__(self) -> int:
        return len(self.object_ids)

    def first_alone(self) -> "Arrays":
        """Return the same objects without their second alerts."""
        return replace(self, stamps_2=None, metadata_2=None, deltajd=None)

    def take(self, rows: Ints) -> "Arrays":
        """Return some of the objects, by index."""
        return Arrays(*(None if values is None else values[rows] for values in vars(self).values()))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Preparation:
    """Preparation of stamps (decisions S2 and S3), the same for training and prediction.

    Attributes
    ----------
    normalisation : {"range", "literal", "minmax"}
        Method of `twostamp.data.stamps.normalise_stamps`.
    nan_value : float
        Value of a missing pixel.
    crop_before_normalising : bool
        Whether to crop first; the thesis normalises the whole 63 x 63 first.
    """

    normalisation: str = "range"
    nan_value: float = 2.0
    crop_before_normalising: bool = False

    @classmethod
    def of(cls, params: Parameters) -> "Preparation":
        """Take the preparation from a run's parameters."""
        return cls(params.normalisation, params.nan_value, params.crop_before_normalising)

    def prepare(self, images: Floats32, crop: int) -> Floats32:
        """Turn raw images, shape (n, 3, 63, 63), into triplets, shape (n, crop, crop, 3): all steps, channels last."""
        if self.crop_before_normalising:
            images, crop = crop_stamps(images[..., None], crop)[..., 0], 0
        return channels_last(normalise_stamps(images, self.normalisation, self.nan_value, crop or None))


def read_metadata(path: Path) -> pd.DataFrame:
    """Read a Parquet folder of the extraction without its stamps: one row per object, sorted by objectId."""
    source = ds.dataset(path, format="parquet")
    columns = [field.name for field in source.schema if not pa.types.is_binary(field.type)]
    return source.to_table(columns=columns).to_pandas().sort_values("objectId", ignore_index=True)


def read_batches(path: Path, batch_size: int = 256, object_ids: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
    """Read the columns for arrays, stamps included, in batches.

    Parameters
    ----------
    path : Path
        A Parquet folder of the extraction.
    batch_size : int
        Rows of a table, at most.
    object_ids : sequence of str, optional
        All by default.

    Yields
    ------
    DataFrame
        Columns objectId, labels and deltajd if there are any, candidate fields and stamps.
    """
    source = ds.dataset(path, format="parquet")
    fields = (*PACKET_FIELDS, *POSITION, *STAMPS)
    wanted = [
        "objectId",
        "classALeRCE",
        "subclassALeRCE",
        "deltajd",
        *(f"{name}_{alert}" for alert in (1, 2) for name in fields),
    ]
    batches = source.to_batches(
        columns=[name for name in wanted if name in source.schema.names],
        filter=None if object_ids is None else ds.field("objectId").isin(pa.array(list(object_ids), pa.string())),
        batch_size=batch_size,
        batch_readahead=2,
        fragment_readahead=1,
    )
    return (batch.to_pandas() for batch in batches if batch.num_rows)


def count_alerts(path: Path) -> int:
    """Return the alerts per object in a Parquet folder of the extraction: 1 in ``first_alerts.parquet``, 2 in pairs."""
    return 2 if "science_2" in ds.dataset(path, format="parquet").schema.names else 1


def read_images(table: pd.DataFrame, alert: int) -> Floats32:
    """Decode and repair the stamps of one alert of each object, shape (n, 3, 63, 63), in DN with NaN."""
    xpos, ypos = (table[f"{name}_{alert}"].astype(float).tolist() for name in POSITION)
    images = np.empty((len(table), 3, SIZE, SIZE), np.float32)
    for channel, name in enumerate(STAMPS):
        for i, (data, x, y) in enumerate(zip(table[f"{name}_{alert}"].tolist(), xpos, ypos, strict=True)):
            images[i, channel] = repair_stamp(read_stamp(data), x, y)
    return images


def channels_last(images: Floats32) -> Floats32:
    """Turn images, shape (n, 3, h, w), into contiguous triplets, shape (n, h, w, 3)."""
    return np.ascontiguousarray(np.moveaxis(images, 1, -1))


def read_triplets(table: pd.DataFrame, alert: int) -> Floats32:
    """Decode and repair the stamps of one alert of each object, shape (n, 63, 63, 3), in DN with NaN."""
    return channels_last(read_images(table, alert))


@dataclass(frozen=True)
class UnscaledArrays:
    """n objects with prepared stamps and raw metadata, to be standardised with the statistics of any training set.

    Attributes
    ----------
    stamps : sequence of ndarray, shape (n, crop, crop, 3), float32
        Normalised stamps of each alert.
    metadata : sequence of ndarray, shape (n, len(ALL_FEATURES)), float32
        Features of each alert, from `compute_features`.
    deltajd : ndarray, shape (n,), float32, or None
        Days between the two alerts.
    object_ids : ndarray, shape (n,), str
    """

    stamps: Sequence[Floats32]
    metadata: Sequence[Floats32]
    deltajd: Floats32 | None
    object_ids: NDArray[Any]

    @classmethod
    def from_table(
        cls, table: pd.DataFrame, crop: int = 21, preparation: Preparation = Preparation()
    ) -> "UnscaledArrays":
        """Prepare a table of `read_batches`; without the columns of a second alert there are no second arrays."""
        alerts = (1, 2) if "science_2" in table else (1,)
        return cls(
            [preparation.prepare(read_images(table, alert), crop) for alert in alerts],
            [compute_features(table, alert) for alert in alerts],
            table["deltajd"].to_numpy(np.float32) if len(alerts) == 2 else None,
            table["objectId"].to_numpy(dtype=str),
        )

    @classmethod
    def read(
        cls, path: Path, object_ids: Sequence[str], crop: int = 21, preparation: Preparation = Preparation()
    ) -> "UnscaledArrays":
        """Prepare some objects of a Parquet folder of the extraction, batch by batch, in the order given.

        Raises
        ------
        ValueError
            An object is not in the folder.
        """
        if not len(object_ids):
            raise ValueError(f"no object of {path} is requested")
        parts = [cls.from_table(table, crop, preparation) for table in read_batches(path, object_ids=object_ids)]
        found = pd.Index([name for part in parts for name in part.object_ids])
        if len(absent := pd.Index(object_ids).difference(found)):
            raise ValueError(f"{path} lacks {len(absent)} of the objects, {absent[0]} the first of them")
        order = found.get_indexer(pd.Index(object_ids))

        def join(columns: Sequence[Any]) -> Any:
            return np.concatenate(columns)[order]

        return cls(
            [join(columns) for columns in zip(*(part.stamps for part in parts), strict=True)],
            [join(columns) for columns in zip(*(part.metadata for part in parts), strict=True)],
            None if parts[0].deltajd is None else join([part.deltajd for part in parts]),
            join([part.object_ids for part in parts]),
        )

    def take(self, rows: Ints) -> "UnscaledArrays":
        """Return some of the objects, by index."""
        days = None if self.deltajd is None else self.deltajd[rows]
        stamps, metadata = ([values[rows] for values in columns] for columns in (self.stamps, self.metadata))
        return UnscaledArrays(stamps, metadata, days, self.object_ids[rows])

    def save(self, path: Path) -> str:
        """Write one ``.npz`` file; return the digest of what is stored."""
        named: dict[str, Any] = {
            "stamps": np.stack(self.stamps),
            "metadata": np.stack(self.metadata),
            "object_ids": self.object_ids,
        }
        named |= {} if self.deltajd is None else {"deltajd": self.deltajd}
        with replacing(path) as part:
            np.savez(part, **named)
        return hashlib.sha256(b"".join(values.tobytes() for values in named.values())).hexdigest()

    @classmethod
    def load(cls, path: Path) -> "UnscaledArrays":
        """Read a file of `save`."""
        with np.load(path) as content:
            deltajd = content.get("deltajd")
            return cls(content["stamps"], content["metadata"], deltajd, content["object_ids"])

    def fit_scaler(self, rows: Ints, recipe: str = "thesis") -> Scaler:
        """Fit the statistics of a training set, which is some of the objects."""
        days = np.zeros(len(rows)) if self.deltajd is None else ln_deltajd(self.deltajd[rows])
        return Scaler.fit(self.metadata[0][rows], self.metadata[-1][rows], days, recipe)

    def scale(self, scaler: Scaler, features: str = "thesis26", labels: Ints | None = None) -> Arrays:
        """Standardise the metadata of one list."""
        check_features(features)
        metadata = [scaler.transform(values, alert, features) for alert, values in enumerate(self.metadata, start=1)]
        inputs: dict[str, Any] = {f"stamps_{alert}": values for alert, values in enumerate(self.stamps, start=1)}
        inputs |= {f"metadata_{alert}": values for alert, values in enumerate(metadata, start=1)}
        inputs["deltajd"] = None if self.deltajd is None else scale_deltajd(self.deltajd, scaler)
        return Arrays(**{"stamps_2": None, "metadata_2": None} | inputs, labels=labels, object_ids=self.object_ids)


def arrays_from_table(
    table: pd.DataFrame,
    scaler: Scaler,
    *,
    features: str = "thesis26",
    crop: int = 21,
    preparation: Preparation = Preparation(),
    classes: Sequence[str] = (),
) -> Arrays:
    """Prepare pairs, or first alerts alone, for prediction: the same steps as through the TFRecords.

    Parameters
    ----------
    table : DataFrame, n rows
        Table from `read_batches`; without the columns of a second alert there are no second arrays.
    scaler : Scaler
        Scaler of the training set, ``Records(folder).scaler``.
    features : str
        Name in `twostamp.data.features.FEATURE_LISTS`.
    crop : int
        Side of the stamps in pixels.
    preparation : Preparation
        Preparation of the training set, ``Records(folder).info.preparation``.
    classes : sequence of str
        Classes for labels from the table's column classALeRCE; without it there are no labels.

    Raises
    ------
    BadStamp, KeyError, ValueError
        A stamp, a column or an isdiffpos that cannot be used; an unknown feature list.
    """
    check_features(features)
    labels = np.array([classes.index(name) for name in table["classALeRCE"]], np.int64) if classes else None
    return UnscaledArrays.from_table(table, crop, preparation).scale(scaler, features, labels)


def scale_deltajd(deltajd: NDArray[Any], scaler: Scaler) -> Floats32:
    """Compute standardised ln deltajd, shape (n, 1), from days in single precision, as stored in records (M7)."""
    return scaler.transform_deltajd(ln_deltajd(deltajd.astype(np.float32)).reshape(-1, 1))


def check_features(features: str) -> None:
    """Refuse the name of a feature list that does not exist."""
    if features not in FEATURE_LISTS:
        raise ValueError(f"feature list {features!r} is not one of {', '.join(FEATURE_LISTS)}")
