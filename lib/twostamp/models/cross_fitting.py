"""Cross-fitting: train on some rows of a table of objects, and predict all of them (notebook 13).

The stamps are prepared once, so that a split costs no records. Trainings run on Spark as those of the search.
"""

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import NDArray

from twostamp.data.arrays import Arrays, Preparation, UnscaledArrays
from twostamp.data.features import Scaler
from twostamp.data.tfrecords import take_batches
from twostamp.models.architectures import VARIANTS
from twostamp.models.inference import predict
from twostamp.models.trial import TrainingConfig, Trial, train, train_jobs
from twostamp.params import Parameters
from twostamp.utils.files import replacing, write_file

Rows = NDArray[np.int64]


class CrossFitError(RuntimeError):
    """A training that failed twice; the message has its reason."""


def write_objects(source: Path, path: Path, table: pd.DataFrame, crop: int, preparation: Preparation) -> str:
    """Store the prepared stamps and raw features of some objects, in the order of a table.

    Parameters
    ----------
    source : Path
        ``pairs.parquet`` or ``first_alerts.parquet``.
    path : Path
        File ``.npz`` to write, `twostamp.data.arrays.UnscaledArrays`.
    table : DataFrame
        objectId.
    crop : int
        Side of the stamps, pixels.
    preparation : Preparation

    Returns
    -------
    str
        Digest of what is stored.
    """
    return UnscaledArrays.read(source, table["objectId"].tolist(), crop, preparation).save(path)


@dataclass(frozen=True)
class StoredRows:
    """Stored objects, of which some rows are learnt from: what `twostamp.models.trial.train` takes.

    Attributes
    ----------
    path : Path
    digest : str
        File and result of `write_objects`.
    labels : ndarray, shape (n,)
        Of all objects.
    train, validation : ndarray
        Rows to learn from, and rows that are only looked at: the weights are those of the last epoch.
    recipe : {"thesis", "alerce"}
        Of the metadata, whose statistics are those of the rows learnt from.
    """

    path: Path
    digest: str
    labels: Rows
    train: Rows
    validation: Rows
    recipe: str = "thesis"

    @property
    def classes(self) -> tuple[str, ...]:
        """Numbers of the classes, as text."""
        return tuple(map(str, range(int(self.labels.max()) + 1)))

    @cached_property
    def scaler(self) -> Scaler:
        """Statistics of the rows learnt from."""
        return _load(self.path, self.digest).fit_scaler(self.train, self.recipe)

    def steps_per_epoch(self, batch_size: int) -> int:
        """Rows to learn from divided by the batch size, rounded up."""
        return -(-len(self.train) // batch_size)

    def arrays(self, split: str, features: str, crop: int) -> Arrays:
        """Objects of ``train`` or ``validation``, or of ``all``, which have one crop."""
        arrays = _load(self.path, self.digest).scale(self.scaler, features, self.labels)
        rows = {"train": self.train, "validation": self.validation}.get(split)
        return arrays if rows is None else _take(arrays, rows)

    def batches(self, batch_size: int, *, features: str, crop: int, seed: int, steps: int) -> tf.data.Dataset:
        """Class-balanced batches for so many steps, of (inputs, one-hot labels)."""
        rows = balance_rows(self.labels, self.train, batch_size * steps, seed).reshape(-1, batch_size)
        order = tf.data.Dataset.from_tensor_slices(rows)
        return take_batches(self.arrays("all", features, crop), order, batch_size, len(self.classes))


@dataclass(frozen=True)
class CrossFit:
    """A training on some rows, whose result is what it says of all objects."""

    trial: Trial
    data: StoredRows
    config: TrainingConfig
    folder: Path

    @property
    def path(self) -> Path:
        """File of the probabilities, named after everything that they depend on."""
        trial, data, config = self.trial, self.data, self.config
        settings = [trial.variant, trial.hyperparameters.id, trial.seed, data.digest]
        settings += [config.epochs, config.width, data.recipe, config.threads_per_trial, *config.options.values()]
        if drawn := config.augment(trial.variant):  # named only where there is one: results from before stay valid
            settings.append(drawn)
        if config.engine != "tensorflow":  # likewise
            settings.append(config.engine)
        digest = hashlib.sha256(repr(settings).encode())
        for rows in (data.labels, data.train, data.validation):
            digest.update(np.ascontiguousarray(rows).tobytes())
        return self.folder / f"{trial.variant}-{digest.hexdigest()[:16]}.npy"

    def is_finished(self) -> bool:
        """Whether its probabilities are there."""
        return self.path.exists()

    def run(self) -> None:
        """Train, and write the probabilities of all objects."""
        training = train(self.trial, self.data, self.config)
        features, crop = VARIANTS[self.trial.variant].features_read, self.trial.hyperparameters.crop_size
        probabilities = predict(training.model, self.trial.variant, self.data.arrays("all", features, crop))
        with replacing(self.path) as part:
            np.save(part, probabilities)

    def record_failure(self, reason: str) -> None:
        """Write why there are none."""
        write_file(self.path.with_suffix(".txt"), reason)


def cross_fit(jobs: Sequence[CrossFit], params: Parameters) -> list[NDArray[np.float32]]:
    """Train what is not trained yet, on Spark, and return what every training says of all objects.

    Parameters
    ----------
    jobs : sequence of CrossFit
    params : Parameters
        spark_master, workers, threads_per_trial.

    Returns
    -------
    list of ndarray, shape (n, classes)

    Raises
    ------
    CrossFitError
        If a training failed twice.
    """
    for job in jobs:
        job.folder.mkdir(parents=True, exist_ok=True)
    train_jobs(jobs, params)
    for job in jobs:
        if not job.path.exists():
            reason = job.path.with_suffix(".txt").read_text()
            raise CrossFitError(f"{job.trial.variant} failed twice: {reason}")
    return [np.load(job.path) for job in jobs]


def balance_rows(labels: Rows, rows: Rows, n: int, seed: int) -> Rows:
    """Draw n rows class by class in turn, each class shuffled anew at every pass (decision T3).

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


def _take(arrays: Arrays, rows: Rows) -> Arrays:
    taken: dict[str, Any] = {name: None if values is None else values[rows] for name, values in vars(arrays).items()}
    return Arrays(**taken)
