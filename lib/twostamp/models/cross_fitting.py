"""Trainings on any rows of a table of objects, each predicting all of them: what cross-fitting and ageing need.

The stamps are prepared once, so that a split costs no records. Trainings run on Spark as those of the search.
"""

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from twostamp.data.arrays import Arrays, Preparation, UnscaledArrays
from twostamp.params import TRAINING_OPTIONS, Parameters
from twostamp.utils.files import replacing

if TYPE_CHECKING:
    from twostamp.models.training import Hyperparameters

Rows = NDArray[np.int64]
FOLD_OPTIONS = ("ageing_epochs", "width", "metadata_recipe", "threads_per_trial", *TRAINING_OPTIONS)
"""Parameters on which what a training says depends."""


class FoldError(RuntimeError):
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
class Fold:
    """One training.

    Attributes
    ----------
    objects : Path
    digest : str
        File and result of `write_objects`.
    labels : ndarray, shape (n,)
        Of all objects.
    train, validation : ndarray
        Rows to learn from, and rows that are only looked at: the weights are those of the last epoch.
    variant : str
        A key of ``models.VARIANTS``.
    hyperparameters : Hyperparameters
    seed : int
    folder : Path
        Where the probabilities go.
    """

    objects: Path
    digest: str
    labels: Rows
    train: Rows
    validation: Rows
    variant: str
    hyperparameters: "Hyperparameters"
    seed: int
    folder: Path
    params: Parameters

    @property
    def path(self) -> Path:
        """File of the probabilities, named after everything that they depend on."""
        settings = [self.variant, self.hyperparameters.id, self.seed, self.digest]
        settings += [getattr(self.params, name) for name in FOLD_OPTIONS]
        digest = hashlib.sha256(repr(settings).encode())
        for rows in (self.labels, self.train, self.validation):
            digest.update(np.ascontiguousarray(rows).tobytes())
        return self.folder / f"{self.variant}-{digest.hexdigest()[:16]}.npy"


def train_folds(folds: Sequence[Fold], params: Parameters) -> list[NDArray[np.float32]]:
    """Train what is not trained yet, on Spark, and return what every training says of all objects.

    Parameters
    ----------
    folds : sequence of Fold
    params : Parameters
        spark_master, workers, threads_per_trial.

    Returns
    -------
    list of ndarray, shape (n, classes)

    Raises
    ------
    FoldError
        If a training failed twice.
    """
    from twostamp.models.trial import WORKER_ENVIRONMENT
    from twostamp.utils.spark import open_spark, run_jobs

    for fold in folds:
        fold.folder.mkdir(parents=True, exist_ok=True)
    pending = [fold for fold in folds if not fold.path.exists()]
    if pending:
        environment = WORKER_ENVIRONMENT | {"TWOSTAMP_THREADS": str(params.threads_per_trial)}
        with open_spark(params.spark_master, params.workers) as spark:
            run_jobs(spark, train_fold, pending, failed=_record_failure, environment=environment, description="folds")
    for fold in pending:
        if not fold.path.exists():
            raise FoldError(f"{fold.variant} failed twice: {fold.path.with_suffix('.txt').read_text()}")
    return [np.load(fold.path) for fold in folds]


def _record_failure(fold: Fold, reason: str) -> None:
    fold.path.with_suffix(".txt").write_text(reason)


def train_fold(fold: Fold) -> None:
    """Train one classifier, and write its probabilities for all objects."""
    from twostamp.models.inference import predict
    from twostamp.models.training import limit_threads, make_repeatable, train_model, use_gpu
    from twostamp.utils.spark import assigned_gpu

    params, batch_size = fold.params, fold.hyperparameters.batch_size
    limit_threads(params.threads_per_trial)
    with use_gpu(assigned_gpu()):
        make_repeatable(fold.seed)
        arrays = _make_arrays(fold)
        steps = -(-len(fold.train) // batch_size)
        rows = balance_rows(fold.labels, fold.train, batch_size * steps * params.ageing_epochs, fold.seed)
        training = train_model(
            fold.variant,
            fold.hyperparameters,
            _make_batches(arrays, rows.reshape(-1, batch_size), int(fold.labels.max()) + 1),
            _take(arrays, fold.validation),
            n_classes=int(fold.labels.max()) + 1,
            steps_per_epoch=steps,
            epochs=params.ageing_epochs,
            seed=fold.seed,
            width=params.width,
            **params.training_options(),
        )
        probabilities = predict(training.model, fold.variant, arrays)
    with replacing(fold.path) as part:
        np.save(part, probabilities)


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


def _make_arrays(fold: Fold) -> Arrays:
    """Standardise all objects by the statistics of those learnt from."""
    from twostamp.models.architectures import VARIANTS

    content = _load(fold.objects, fold.digest)
    scaler = content.fit_scaler(fold.train, fold.params.metadata_recipe)
    return content.scale(scaler, VARIANTS[fold.variant].features_read, fold.labels)


def _take(arrays: Arrays, rows: Rows) -> Arrays:
    taken: dict[str, Any] = {name: None if values is None else values[rows] for name, values in vars(arrays).items()}
    return Arrays(**taken)


def _make_batches(arrays: Arrays, rows: Rows, n_classes: int) -> Any:
    import tensorflow as tf

    names = ("stamps_1", "metadata_1", "stamps_2", "metadata_2", "deltajd")
    inputs = {name: values for name in names if (values := getattr(arrays, name)) is not None}
    one_hot = np.eye(n_classes, dtype=np.float32)[np.asarray(arrays.labels)]
    order = tf.data.Dataset.from_tensor_slices(rows)
    shapes = {name: (rows.shape[1], *values.shape[1:]) for name, values in inputs.items()}

    def take(chosen: NDArray[np.int64]) -> list[Any]:
        return [values[chosen] for values in (*inputs.values(), one_hot)]

    def gather(chosen: Any) -> tuple[dict[str, Any], Any]:
        *values, labels = tf.numpy_function(take, [chosen], [tf.float32] * (len(inputs) + 1))
        shaped = {name: tf.ensure_shape(value, shapes[name]) for name, value in zip(inputs, values, strict=True)}
        return shaped, tf.ensure_shape(labels, (rows.shape[1], n_classes))

    return order.map(gather)
