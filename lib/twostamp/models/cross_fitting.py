"""Cross-fitting: train on some rows of a table of objects, and predict all of them (notebooks 10, 12, 13 and 15).

The stamps are prepared once, so a split needs no new records. Trainings run on Spark, as in the search.
"""

import contextlib
import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import NDArray

from twostamp.data.arrays import Arrays, Preparation, UnscaledArrays
from twostamp.data.features import Scaler
from twostamp.data.survey_age import SurveyAges
from twostamp.data.tfrecords import take_batches
from twostamp.models.adapter import AdapterError
from twostamp.models.architectures import VARIANTS
from twostamp.models.classifier import NETWORK, Classifier
from twostamp.models.inference import predict
from twostamp.models.trial import TrainingConfig, Trial, train, train_jobs
from twostamp.params import Parameters
from twostamp.taxonomy import order_classes
from twostamp.utils.files import replacing, write_file
from twostamp.utils.typing import Floats32

Rows = NDArray[np.int64]


class CrossFitError(RuntimeError):
    """A training failed twice; the message has the reason."""


STAMPS, METADATA, DELTAJD = "stamps", "metadata", "deltajd"
SECOND_STAMPS, SECOND_METADATA = "second stamps", "second metadata"
HIDDEN = (SECOND_STAMPS, SECOND_METADATA, DELTAJD, STAMPS, METADATA)
"""Inputs that can be hidden from a network, see `hide`."""


def hide(arrays: Arrays, names: Sequence[str]) -> Arrays:
    """Remove information from objects but keep the form of the inputs, for placebos.

    Parameters
    ----------
    arrays : Arrays
    names : sequence of str
        Names of `HIDDEN`. The second alert's stamps and metadata become copies of the first's. ``deltajd``, or the
        stamps or metadata of both alerts, become 0, which is the mean.

    Examples
    --------
    >>> ones, twos = np.ones((1, 2)), np.full((1, 2), 2.0)
    >>> pair = Arrays(ones, twos, ones, twos, ones, None, np.array(["a"]))
    >>> hidden = hide(pair, ["second stamps", "deltajd"])
    >>> hidden.stamps_2.tolist(), hidden.metadata_2.tolist(), hidden.deltajd.tolist()
    ([[1.0, 1.0]], [[2.0, 2.0]], [[0.0, 0.0]])
    """
    if unknown := set(names) - set(HIDDEN):
        raise ValueError(f"{min(unknown)!r} cannot be hidden; {', '.join(HIDDEN)} can")
    values = dict(vars(arrays))
    for kind in (STAMPS, METADATA):
        if f"second {kind}" in names:
            values[f"{kind}_2"] = values[f"{kind}_1"]
    for field, value in values.items():
        if field.partition("_")[0] in names and value is not None:
            values[field] = np.zeros_like(value)
    return Arrays(**values)


@dataclass(frozen=True)
class StoredObjects:
    """Prepared stamps, raw features and classes of the objects of a table, in its order.

    Attributes
    ----------
    path : Path
        File ``.npz``, `twostamp.data.arrays.UnscaledArrays`.
    digest : str
        Digest of the content.
    labels : ndarray, shape (n,)
    recipe : {"thesis", "alerce"}
        Recipe of the metadata, with statistics of the training rows.
    """

    path: Path
    digest: str
    labels: Rows
    recipe: str = "thesis"

    @classmethod
    def write(
        cls,
        source: Path,
        path: Path,
        table: pd.DataFrame,
        crop: int,
        preparation: Preparation,
        classes: Sequence[str] = (),
        recipe: str = "thesis",
    ) -> "StoredObjects":
        """Prepare and store the objects of a table with objectId and classALeRCE.

        Parameters
        ----------
        source : Path
            ``pairs.parquet`` or ``first_alerts.parquet``.
        path : Path
            Output file.
        table : DataFrame
        crop : int
            Side of the stamps, pixels.
        preparation : Preparation
        classes : sequence of str
            Classes in the order of the labels; by default their usual one.
        recipe : {"thesis", "alerce"}
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        names = list(classes) or order_classes(table["classALeRCE"])
        labels: Rows = np.array([names.index(name) for name in table["classALeRCE"]], np.int64)
        digest = UnscaledArrays.read(source, table["objectId"].tolist(), crop, preparation).save(path)
        return cls(path, digest, labels, recipe)

    def rows(
        self, train: Rows, validation: Rows, hidden: Sequence[str] = (), labels: Rows | None = None
    ) -> "StoredRows":
        """Choose the training rows; `labels` replace the true ones."""
        known = self.labels if labels is None else labels
        return StoredRows(self.path, self.digest, known, train, validation, self.recipe, tuple(hidden))


@dataclass(frozen=True)
class StoredRows:
    """Stored objects with a choice of training rows, the input of `twostamp.models.trial.train`.

    Attributes
    ----------
    path : Path
    digest : str
        Digest of `StoredObjects`.
    labels : ndarray, shape (n,)
        Labels of all objects.
    train, validation : ndarray
        Training rows, and rows that are only evaluated: the weights are those of the last epoch.
    recipe : {"thesis", "alerce"}
        Recipe of the metadata, with statistics of the training rows.
    hidden : tuple of str
        Inputs hidden from the network, see `hide`.
    statistics : Scaler, optional
        Statistics of another training set, in place of those of the training rows.
    """

    path: Path
    digest: str
    labels: Rows
    train: Rows
    validation: Rows
    recipe: str = "thesis"
    hidden: tuple[str, ...] = ()
    statistics: Scaler | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the indices of the classes, as text."""
        return tuple(map(str, range(int(self.labels.max()) + 1)))

    @cached_property
    def scaler(self) -> Scaler:
        """Return the statistics of the training rows, or `statistics`."""
        return self.statistics or self.unscaled().fit_scaler(self.train, self.recipe)

    @property
    def ages(self) -> SurveyAges:
        """Survey-age features of the rows learnt from."""
        known = self.unscaled().take(self.train)
        return SurveyAges.measure(known.metadata, self.labels[self.train])

    def unscaled(self) -> UnscaledArrays:
        """All objects with raw metadata."""
        return _load(self.path, self.digest)

    def steps_per_epoch(self, batch_size: int) -> int:
        """Return the number of training rows divided by the batch size, rounded up."""
        return -(-len(self.train) // batch_size)

    def arrays(self, split: str, features: str, crop: int) -> Arrays:
        """Return the objects of ``train``, ``validation`` or ``all``, which share one crop."""
        arrays = hide(self.unscaled().scale(self.scaler, features, self.labels), self.hidden)
        rows = {"train": self.train, "validation": self.validation}.get(split)
        return arrays if rows is None else arrays.take(rows)

    def batches(self, batch_size: int, *, features: str, crop: int, seed: int, steps: int) -> tf.data.Dataset:
        """Make class-balanced batches of (inputs, one-hot labels) for a number of steps."""
        rows = balance_rows(self.labels, self.train, batch_size * steps, seed).reshape(-1, batch_size)
        order = tf.data.Dataset.from_tensor_slices(rows)
        return take_batches(self.arrays("all", features, crop), order, batch_size, len(self.classes))


@dataclass(frozen=True)
class CrossFit:
    """Training on some rows that predicts all objects.

    Attributes
    ----------
    trial : Trial
    data : StoredRows
    config : TrainingConfig
    folder : Path
        Of the probabilities, shape (n, classes); with nights (2, n, classes), as trained and adapted.
    nights : ndarray, shape (n,), int, optional
        Batches of objects that the network is adapted to, one by one and without labels; -1 for none. A batch of too
        few keeps the answers as trained.
    start : Path, optional
        Folder of a classifier of this variant to fine-tune; its statistics of the metadata stay.
    """

    trial: Trial
    data: StoredRows
    config: TrainingConfig
    folder: Path
    nights: Rows | None = None
    start: Path | None = None

    @property
    def path(self) -> Path:
        """Return the file of the probabilities, named after all their inputs."""
        trial, data = self.trial, self.data
        settings = [trial.variant, trial.hyperparameters.id, trial.seed, data.hidden]
        settings.append(self.config.describe(trial.variant, data.digest, data.recipe))
        if self.start:
            settings.append(hashlib.sha256((self.start / NETWORK).read_bytes()).hexdigest())
        digest = hashlib.sha256(repr(settings).encode())
        for rows in (data.labels, data.train, data.validation, *([] if self.nights is None else [self.nights])):
            digest.update(f"{len(rows)} ".encode() + np.ascontiguousarray(rows).tobytes())
        return self.folder / f"{trial.variant}-{digest.hexdigest()[:16]}.npy"

    def is_finished(self) -> bool:
        """Return whether its probabilities exist."""
        return self.path.exists()

    def run(self) -> None:
        """Train, and write the probabilities of all objects."""
        data, weights = self.data, None
        if self.start:
            begun = Classifier.load(self.start)
            data, weights = replace(data, statistics=begun.scaler), begun.network.get_weights()
        training = train(self.trial, data, self.config, start=weights)
        features, crop = VARIANTS[self.trial.variant].features_read, self.trial.hyperparameters.crop_size
        probabilities = predict(training.model, self.trial.variant, data.arrays("all", features, crop))
        if self.nights is not None:
            adapted = self._adapt(training.model, probabilities.copy(), self.nights)
            probabilities = np.stack([probabilities, adapted])
        with replacing(self.path) as part:
            np.save(part, probabilities)

    def _adapt(self, network: keras.Model, probabilities: Floats32, nights: Rows) -> Floats32:
        data, sizes = self.data, self.trial.hyperparameters
        made_with = data.classes, sizes.crop_size, data.scaler, Preparation()  # the stamps are prepared
        classifier = Classifier(network, self.trial.variant, *made_with, ages=data.ages)
        for night in np.unique(nights[nights >= 0]):
            rows = np.flatnonzero(nights == night)
            objects = data.unscaled().take(rows)
            with contextlib.suppress(AdapterError):
                probabilities[rows] = classifier.adapt(objects).predict_unscaled(objects)
        return probabilities

    def record_failure(self, reason: str) -> None:
        """Record why there are none."""
        write_file(self.path.with_suffix(".txt"), reason)


def cross_fit(jobs: Sequence[CrossFit], params: Parameters) -> list[NDArray[np.float32]]:
    """Run the missing trainings on Spark, and return every training's predictions of all objects.

    Parameters
    ----------
    jobs : sequence of CrossFit
    params : Parameters
        spark_master, workers, threads_per_trial.

    Returns
    -------
    list of ndarray, shape (n, classes), or (2, n, classes) of one with nights

    Raises
    ------
    CrossFitError
        If a training failed twice.
    """
    for job in jobs:
        job.folder.mkdir(parents=True, exist_ok=True)
    train_jobs(list({job.path: job for job in jobs}.values()), params)
    for job in jobs:
        if not job.path.exists():
            reason = job.path.with_suffix(".txt").read_text()
            raise CrossFitError(f"{job.trial.variant} failed twice: {reason}")
    return [np.load(job.path) for job in jobs]


def balance_rows(labels: Rows, rows: Rows, n: int, seed: int) -> Rows:
    """Draw n rows from the classes in turn; each class is reshuffled at every pass (decision T3).

    Examples
    --------
    >>> labels = np.array([0, 0, 0, 1])
    >>> labels[balance_rows(labels, np.arange(4), 6, seed=1)].tolist()
    [0, 1, 0, 1, 0, 1]
    """
    rng, classes = np.random.default_rng(seed), np.unique(labels[rows])
    drawn = np.empty(n, np.int64)
    for i, label in enumerate(classes):
        members, places = rows[labels[rows] == label], np.arange(i, n, len(classes))
        passes = [rng.permutation(members) for _ in range(-(-len(places) // len(members)))]
        drawn[places] = np.concatenate(passes)[: len(places)] if passes else []
    return drawn


@functools.lru_cache(maxsize=2)
def _load(path: Path, digest: str) -> UnscaledArrays:
    return UnscaledArrays.load(path)
