"""ALeRCE's own training recipe as a second one-stamp baseline (Carrasco-Davis et al. 2021; decision T10)."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from twostamp.data.arrays import Preparation
from twostamp.data.tfrecord_writer import write_records
from twostamp.data.tfrecords import DatasetInfo, Records
from twostamp.models.results import SearchResults, package_winners
from twostamp.models.search import train_repeats
from twostamp.models.training import Hyperparameters
from twostamp.params import Parameters

RECIPE_VARIANT = "stamp_alerce"

SETTING = Hyperparameters(kernel_size=5, crop_size=21, batch_size=64, learning_rate=1e-3, dropout_rate=0.5)
_RECIPE = {
    "metadata_recipe": "alerce",
    "normalisation": "minmax",
    "nan_value": 0.0,
    "crop_before_normalising": False,
    "dropout_layers": 3,
    "entropy_beta": 0.5,
    "report_weights": "best",
}
"""Differences from the thesis's training; repetitions and epochs are the run's."""
RECORDS, MODELS = "records_alerce", "alerce"


def alerce_parameters(params: Parameters) -> Parameters:
    """Return the run's parameters with ALeRCE's recipe in place of the run's own.

    Examples
    --------
    >>> alerce_parameters(Parameters(epochs=7)).model_dump(include={"epochs", "dropout_layers", "entropy_beta"})
    {'epochs': 7, 'dropout_layers': 3, 'entropy_beta': 0.5}
    """
    return params.model_copy(update=_RECIPE)


def write_alerce_records(
    first_alerts: Path, objects: pd.DataFrame, data: Path, classes: Sequence[str], params: Parameters
) -> DatasetInfo | None:
    """Write records of first alerts with ALeRCE's normalisation, which the run's own records do not have.

    Parameters
    ----------
    first_alerts : Path
        ``first_alerts.parquet``: the second alert is not needed.
    objects : DataFrame
        Assignment to splits, the same as of the run's records.
    data : Path
        Folder of the run's data.
    classes : sequence of str
        In the order of the labels.
    params : Parameters

    Returns
    -------
    DatasetInfo or None
        As of `twostamp.data.tfrecords.write_records`; None for a run without this baseline.
    """
    if not params.alerce_baseline:
        return None
    preparation = Preparation.of(alerce_parameters(params))
    return write_records(first_alerts, objects, data / RECORDS, classes, preparation, seed=params.seed)


def open_alerce_records(data: Path) -> Records:
    """Open the records of `write_alerce_records`."""
    return Records(data / RECORDS, str(_RECIPE["metadata_recipe"]))


def train_alerce(data: Path, models: Path, params: Parameters) -> SearchResults:
    """Train the baseline like trials of the search, as often as the run trains a combination.

    Parameters
    ----------
    data, models : Path
        The run's folders; `write_alerce_records` has written to the first.
    params : Parameters

    Returns
    -------
    SearchResults
        Results of the weights that are best on validation; empty for a run without this baseline.
    """
    if not params.alerce_baseline:
        return SearchResults()
    recipe = alerce_parameters(params)
    records, count = open_alerce_records(data), params.n_repetitions
    return train_repeats(RECIPE_VARIANT, SETTING, count, records, models / MODELS, recipe)


def read_alerce(models: Path, params: Parameters) -> SearchResults:
    """Read the results of `train_alerce`."""
    return SearchResults.read(models / MODELS, "best") if params.alerce_baseline else SearchResults()


def package_alerce(
    results: SearchResults, data: Path, models: Path, params: Parameters, mark: str = ""
) -> dict[str, Path]:
    """Save the best repetition, as `twostamp.models.package_winners` does; nothing without a finished one."""
    return package_winners(results, open_alerce_records(data), models, alerce_parameters(params), mark)
