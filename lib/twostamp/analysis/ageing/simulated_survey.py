"""Train on a survey's first year, test year by year: what ageing costs, with and without coordinates (decision M9).

Tests are forward in time by construction. Each repetition besides keeps a quarter of the sky (HEALPix pixels) from its
training, so that accuracy at new times in known fields and in fields never seen are told apart.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from twostamp.alerts.extraction import extract_first_two
from twostamp.analysis.ageing.training import Split, predict_all_years
from twostamp.analysis.ageing.yearly import YearlyPredictions
from twostamp.data.arrays import read_metadata
from twostamp.data.labels import read_labels
from twostamp.data.splits import filter_pairs
from twostamp.models.search import draw_seeds
from twostamp.models.training import Hyperparameters
from twostamp.params import Parameters
from twostamp.simulation.ageing import DAYS_PER_YEAR, Ageing
from twostamp.simulation.conditions import FIRST_NIGHT
from twostamp.simulation.survey import write_survey
from twostamp.taxonomy import order_classes
from twostamp.utils.dates import julian_midnight
from twostamp.utils.healpix import find_pixels
from twostamp.utils.spark import open_spark
from twostamp.utils.typing import Bools

LISTS = {
    "thesis26": "stacked",
    "drift_safe": "stacked_drift_safe",
    "thesis26_no_coordinates": "stacked_thesis26_no_coordinates",
    "drift_safe_no_coordinates": "stacked_drift_safe_no_coordinates",
}
"""The two-stamp classifier (M1) that takes each list."""

NSIDE = 4
"""Of the pixels kept from training: 192 of 14.7 degrees."""
_BLOCKED = 0.25
_HELD_OUT = 0.2
FORWARD, BOTH = "time-forward", "time-forward, HEALPix-blocked"


def make_survey(data: Path, params: Parameters, *, number: int = 0) -> Path:
    """Find the alerts by year: the run's own archive, or a simulated survey that ages, written and extracted.

    Parameters
    ----------
    data : Path
        Folder of the run's data.
    params : Parameters
        archive, the parameters that begin with ``ageing``, workers, seed.
    number : int
        0 for the survey that ages; others for surveys that do not, each with a seed of its own.

    Returns
    -------
    Path
        Folder with ``pairs.parquet`` and ``first_alerts.parquet``.
    """
    if not params.simulated:
        return data
    folder = data / ("ageing" if number == 0 else f"stationary_{number:02d}")
    write_survey(
        folder / "survey",
        pairs_per_class=params.ageing_pairs_per_class,
        unlabelled_objects=0,
        nights=params.ageing_nights,
        seed=params.seed + 13 + number,
        workers=params.workers,
        ageing=Ageing(params.ageing_years, params.ageing_first_year, grows=number == 0),
    )
    labels, _ = read_labels(folder / "survey" / "labels.csv")
    with open_spark(params.spark_master, params.workers) as spark:
        extract_first_two(spark, str(folder / "survey"), labels, folder)
    return folder


def read_years(path: Path, params: Parameters) -> pd.DataFrame:
    """Read the metadata of pairs or first alerts, with the year and the batch of the first alert.

    Returns
    -------
    DataFrame
        As of `twostamp.data.read_metadata`, of the pairs that section 3.4 admits, and ``year`` (from 1), ``batch``
        (from 0). Years count from the first of June 2018 in the simulated survey, from the first alert in an archive.
    """
    table, _ = filter_pairs(read_metadata(path), params.deltajd_max, params.ssdistnr_on)
    age = (table["jd_1"] - (julian_midnight(FIRST_NIGHT) if params.simulated else table["jd_1"].min())) / DAYS_PER_YEAR
    table = table.assign(year=age.astype(int) + 1, batch=(age * params.alarm_batches).astype(int))
    return table[table["year"] <= params.ageing_years].reset_index(drop=True)


def split_first_year(table: pd.DataFrame, seed: int) -> tuple[Split, Bools]:
    """Divide the first year and the sky for one repetition.

    Parameters
    ----------
    table : DataFrame
        Of `read_years`, with classALeRCE, ra_1 and dec_1.
    seed : int

    Returns
    -------
    split : Split
        Of the first year in the open pixels; a fifth of each class is held out.
    blocked : ndarray of bool
        Objects of all years in the pixels that training does not see.
    """
    rng = np.random.default_rng([seed, 0])
    pixels = find_pixels(table["ra_1"], table["dec_1"], NSIDE)
    closed = rng.random(12 * NSIDE**2) < _BLOCKED
    blocked = closed[pixels]
    known = np.flatnonzero((table["year"] == 1).to_numpy() & ~blocked)
    names = table["classALeRCE"].to_numpy()[known]
    held_out = np.zeros(len(known), bool)
    for name in np.unique(names):
        members = rng.permutation(np.flatnonzero(names == name))
        held_out[members[: max(1, round(_HELD_OUT * len(members)))]] = True
    return Split(known[~held_out], known[held_out], seed), blocked


def train_on_first_year(
    folder: Path, table: pd.DataFrame, models: Path, hyperparameters: Hyperparameters, params: Parameters
) -> YearlyPredictions:
    """Train every list on the first year, several times, and predict the objects of all years.

    Parameters
    ----------
    folder : Path
        Of `make_survey`.
    table : DataFrame
        Of `read_years`, of ``pairs.parquet``.
    models : Path
        Where the trainings leave their predictions.
    hyperparameters : Hyperparameters
    params : Parameters
    """
    classes = tuple(order_classes(table["classALeRCE"]))
    labels = np.array([classes.index(name) for name in table["classALeRCE"]])
    seeds = draw_seeds(params.seed, 13, params.ageing_repetitions)
    splits, blocked = zip(*(split_first_year(table, seed) for seed in seeds), strict=True)
    probabilities = predict_all_years(
        folder / "pairs.parquet", table, labels, splits, list(LISTS.values()), models, hyperparameters, params
    )
    correct = probabilities.argmax(axis=-1) == labels
    years, batches = table["year"].to_numpy(), table["batch"].to_numpy()
    new = np.stack([(years > 1) | np.isin(np.arange(len(table)), split.held_out) for split in splits])
    tested = {FORWARD: new & ~np.stack(blocked), BOTH: np.stack(blocked)}
    return YearlyPredictions(labels, years, batches, classes, tested, dict(zip(LISTS, correct, strict=True)))
