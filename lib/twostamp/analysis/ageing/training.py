"""Train one-year classifiers on chosen objects, and predict the objects of all years."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from twostamp.data.arrays import Preparation
from twostamp.models.cross_fitting import CrossFit, StoredRows, cross_fit, write_objects
from twostamp.models.training import Hyperparameters
from twostamp.models.trial import TrainingConfig, Trial
from twostamp.params import Parameters
from twostamp.utils.typing import Ints


class Split(NamedTuple):
    """Objects, by row, that one training learns from and holds out, and its seed."""

    train: Ints
    held_out: Ints
    seed: int


def predict_all_years(
    source: Path,
    table: pd.DataFrame,
    labels: Ints,
    splits: Sequence[Split],
    variants: Sequence[str],
    folder: Path,
    hyperparameters: Hyperparameters,
    params: Parameters,
) -> NDArray[Any]:
    """Train every variant on every split, and predict all objects.

    Parameters
    ----------
    source : Path
        ``pairs.parquet`` or ``first_alerts.parquet``.
    table : DataFrame
        The objects; objectId.
    labels : ndarray of int, shape (n,)
    splits : sequence of Split
    variants : sequence of str
        Keys of ``models.VARIANTS``.
    folder : Path
        Keeps the stamps and each training's probabilities, so that what is done is not done again.
    hyperparameters : Hyperparameters
    params : Parameters
        Those of the preparation and the training.

    Returns
    -------
    ndarray, shape (variants, splits, n, classes), float32
        Probabilities.
    """
    folder.mkdir(parents=True, exist_ok=True)
    objects = folder / "objects.npz"
    preparation = Preparation.of(params)
    digest = write_objects(source, objects, table, hyperparameters.crop_size, preparation)
    config = TrainingConfig.of(params, params.ageing_epochs)
    jobs = [
        CrossFit(
            Trial(variant, hyperparameters, 0, split.seed),
            StoredRows(objects, digest, labels, split.train, split.held_out, params.metadata_recipe),
            config,
            folder / "folds",
        )
        for variant in variants
        for split in splits
    ]
    predicted = np.stack(cross_fit(jobs, params))
    return predicted.reshape(len(variants), len(splits), *predicted.shape[1:])
