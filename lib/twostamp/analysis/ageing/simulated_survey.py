"""Train on a survey's first year, test year by year: what ageing costs, with and without coordinates (decision M9).

Tests are forward in time by construction. Each repetition besides keeps a quarter of the sky (HEALPix pixels) from its
training, so that accuracy at new times in known fields and in fields never seen are told apart.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from twostamp.analysis.ageing.yearly import Answers
from twostamp.data.arrays import Preparation, read_metadata
from twostamp.data.splits import filter_pairs
from twostamp.models.cross_fitting import Fold, train_folds, write_objects
from twostamp.models.search import draw_seeds
from twostamp.params import Parameters
from twostamp.simulation.ageing import DAYS_PER_YEAR
from twostamp.taxonomy import CLASSES

if TYPE_CHECKING:
    from twostamp.models.training import Hyperparameters

LISTS = {
    "thesis26": "stacked",
    "drift_safe": "stacked_drift_safe",
    "thesis26_no_coordinates": "stacked_thesis26_no_coordinates",
    "drift_safe_no_coordinates": "stacked_drift_safe_no_coordinates",
}
"""The two-stamp classifier (M1) that takes each list."""

NSIDE = 4
"""Of the pixels kept from training: 192 of 14.7 degrees."""
BLOCKED = 0.25
HELD_OUT = 0.2
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
    from twostamp.alerts.extraction import extract_first_two
    from twostamp.data.labels import read_labels
    from twostamp.simulation.ageing import Ageing
    from twostamp.simulation.survey import write_survey
    from twostamp.utils.spark import open_spark

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
    from twostamp.simulation.conditions import FIRST_NIGHT, julian_midnight

    table, _ = filter_pairs(read_metadata(path), params.deltajd_max, params.ssdistnr_on)
    age = (table["jd_1"] - (julian_midnight(FIRST_NIGHT) if params.simulated else table["jd_1"].min())) / DAYS_PER_YEAR
    table = table.assign(year=age.astype(int) + 1, batch=(age * params.alarm_batches).astype(int))
    return table[table["year"] <= params.ageing_years].reset_index(drop=True)


def divide(table: pd.DataFrame, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Divide the first year and the sky for one repetition.

    Parameters
    ----------
    table : DataFrame
        Of `read_years`, with classALeRCE, ra_1 and dec_1.
    seed : int

    Returns
    -------
    train, held_out : ndarray of int
        Rows of the first year in the open pixels; a fifth of each class is held out.
    blocked : ndarray of bool
        Objects of all years in the pixels that training does not see.
    """
    from twostamp.utils.healpix import find_pixels

    rng = np.random.default_rng([seed, 0])
    pixels = find_pixels(table["ra_1"], table["dec_1"], NSIDE)
    closed = rng.random(12 * NSIDE**2) < BLOCKED
    blocked = closed[pixels]
    known = np.flatnonzero((table["year"] == 1).to_numpy() & ~blocked)
    names = table["classALeRCE"].to_numpy()[known]
    held_out = np.zeros(len(known), bool)
    for name in np.unique(names):
        members = rng.permutation(np.flatnonzero(names == name))
        held_out[members[: max(1, round(HELD_OUT * len(members)))]] = True
    return known[~held_out], known[held_out], blocked


def train_years(
    folder: Path, table: pd.DataFrame, models: Path, hyperparameters: "Hyperparameters", params: Parameters
) -> Answers:
    """Train every list on the first year, several times, and ask all objects of all years.

    Parameters
    ----------
    folder : Path
        Of `make_survey`.
    table : DataFrame
        Of `read_years`, of ``pairs.parquet``.
    models : Path
        Where the trainings leave what they say.
    hyperparameters : Hyperparameters
    params : Parameters

    Returns
    -------
    Answers
    """
    classes = tuple(name for name in CLASSES if name in set(table["classALeRCE"]))
    labels = np.array([classes.index(name) for name in table["classALeRCE"]])
    models.mkdir(parents=True, exist_ok=True)
    preparation = Preparation(params.normalisation, params.nan_value, params.crop_before_normalising)
    digest = write_objects(
        folder / "pairs.parquet", models / "objects.npz", table, hyperparameters.crop_size, preparation
    )
    seeds = draw_seeds(params.seed, 13, params.ageing_repetitions)
    parts = [divide(table, seed) for seed in seeds]
    folds = [
        Fold(
            models / "objects.npz",
            digest,
            labels,
            train,
            held_out,
            variant,
            hyperparameters,
            seed,
            models / "folds",
            params,
        )
        for variant in LISTS.values()
        for seed, (train, held_out, _) in zip(seeds, parts, strict=True)
    ]
    predicted = np.stack([values.argmax(axis=1) for values in train_folds(folds, params)])
    right = (predicted == labels).reshape(len(LISTS), len(seeds), -1)
    later = (table["year"] > 1).to_numpy()
    new = np.stack([later | np.isin(np.arange(len(table)), held_out) for _, held_out, _ in parts])
    blocked = np.stack([closed for *_, closed in parts])
    tested = {FORWARD: new & ~blocked, BOTH: blocked}
    years, batches = table["year"].to_numpy(), table["batch"].to_numpy()
    return Answers(labels, years, batches, classes, tested, dict(zip(LISTS, right, strict=True)))
