"""Does a classifier trained on 2018's real packets still find asteroids years later? (decision M9)

Trainings on 2018 by cross-fitting, asked of all years; `asteroid_recall` judges what they say.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from twostamp.arrays import Preparation, read_metadata
from twostamp.asteroid_recall import FIRST, LAST, call_asteroids, recall_at_realised_rate, tabulate_calls
from twostamp.drift import WATCHED, count_bins, find_edges, psi, select
from twostamp.features import compute_features
from twostamp.folds import Fold, train_folds, write_objects
from twostamp.params import Parameters

if TYPE_CHECKING:
    from twostamp.training import Hyperparameters

Floats = NDArray[np.float64]
CLASSES = ("VS", "asteroid", "bogus")
WANTED = CLASSES.index("asteroid")
LARGE_NIGHT = 0.2
"""A night with more than this share of the first year's objects is divided by place instead of held out whole."""
NSIDE = 64
"""Of the places: HEALPix pixels of 0.9 degrees."""
LISTS = {
    "thesis26": "stamp_26",
    "drift_safe": "stamp_drift_safe",
    "drift_safe_no_coordinates": "stamp_drift_safe_no_coordinates",
}
"""The one-stamp classifier (M0) that takes each list."""

NO_PACKETS = "TWOSTAMP_REAL_ALERTS names no folder of real packets with a labels.csv"
CAPTION = (
    "Asteroid recall and false asteroids by year at the threshold that lets {rate:.0%} of 2018's VS and bogus pass. "
    "Thin lines: 95 % by night, or the range of few nights; wide: range of the repetitions."
)


def extract_real(data: Path, params: Parameters) -> Path | None:
    """Extract the first packets of the labelled objects of ``real_archive``; None if there is none."""
    from twostamp.cluster import open_spark
    from twostamp.extract import extract_first_two
    from twostamp.taxonomy import read_labels

    labels = Path(params.real_archive) / "labels.csv"
    if not params.real_archive or not labels.is_file():
        return None
    with open_spark(params.spark_master, params.workers) as spark:
        extract_first_two(spark, params.real_archive, read_labels(labels)[0], data / "real")
    return data / "real" / "first_alerts.parquet"


def read_real(path: Path) -> pd.DataFrame:
    """Read the first packets of variable stars, asteroids and bogus, with year and night (UTC) of each."""
    table = read_metadata(path)
    table = table[table["classALeRCE"].isin(CLASSES)].reset_index(drop=True)
    dates = pd.to_datetime(table["jd_1"] - 2440587.5, unit="D")
    return table.assign(year=dates.dt.year, night=dates.dt.strftime("%Y-%m-%d"))


def count_real(table: pd.DataFrame) -> pd.DataFrame:
    """Objects and nights of each class by year: what there is to conclude from."""
    groups = table.groupby(["year", "classALeRCE"])
    counts = groups.agg(objects=("objectId", "size"), nights=("night", "nunique"))
    largest = groups["night"].agg(lambda nights: nights.mode()[0]).rename("largest night")
    share = groups["night"].agg(lambda nights: nights.value_counts(normalize=True).max()).rename("its share")
    return counts.join([largest, share]).reset_index()


def divide_first_year(table: pd.DataFrame, folds: int, seed: int) -> NDArray[np.int64]:
    """Assign the first year's objects to folds: whole nights, but places of the sky within a night that is too large.

    Parameters
    ----------
    table : DataFrame
        Of `read_real`.
    folds : int
        2 or more.
    seed : int

    Returns
    -------
    ndarray of int, shape (n,)
        -1 for objects of later years.
    """
    from twostamp.sky import find_pixels

    known = np.flatnonzero(table["year"] == FIRST)
    nights = table["night"].to_numpy()[known]
    sizes = table["night"].iloc[known].value_counts()
    large = np.isin(nights, sizes.index[sizes.to_numpy() > LARGE_NIGHT * len(known)])
    pixels = find_pixels(table["ra_1"].iloc[known], table["dec_1"].iloc[known], NSIDE).astype(str)
    groups = np.where(large, np.char.add("pixel ", pixels), nights.astype(str))
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    fold = np.full(len(table), -1)
    for number, (_, held_out) in enumerate(splitter.split(known, table["classALeRCE"].iloc[known], groups)):
        fold[known[held_out]] = number
    return fold


def train_first_year(
    path: Path, table: pd.DataFrame, models: Path, hyperparameters: "Hyperparameters", params: Parameters
) -> tuple[dict[str, Floats], NDArray[np.int64]]:
    """Cross-fit every list on the first year's packets, several times.

    Parameters
    ----------
    path : Path
        Of `extract_real`.
    table : DataFrame
        Of `read_real`.
    models : Path
        Where the trainings leave what they say.
    hyperparameters : Hyperparameters
    params : Parameters
        real_folds, real_repetitions and those of the trainings.

    Returns
    -------
    scores : dict of ndarray, shape (repetitions, folds, n)
        By list, p(asteroid) as each training has it.
    folds : ndarray, shape (repetitions, n)
        The fold that held an object out; -1 for later years, which all trainings of a repetition judge.
    """
    labels = np.array([CLASSES.index(name) for name in table["classALeRCE"]])
    models.mkdir(parents=True, exist_ok=True)
    preparation = Preparation(params.normalisation, params.nan_value, params.crop_before_normalising)
    digest = write_objects(path, models / "objects.npz", table, hyperparameters.crop_size, preparation)
    first = (table["year"] == FIRST).to_numpy()
    folds = np.stack(
        [divide_first_year(table, params.real_folds, params.seed + i) for i in range(params.real_repetitions)]
    )
    jobs = [
        Fold(
            models / "objects.npz",
            digest,
            labels,
            np.flatnonzero(first & (fold != number)),
            np.flatnonzero(fold == number),
            variant,
            hyperparameters,
            params.seed + 1000 * i + number,
            models / "folds",
            params,
        )
        for variant in LISTS.values()
        for i, fold in enumerate(folds)
        for number in range(params.real_folds)
    ]
    said = np.stack([values[:, WANTED] for values in train_folds(jobs, params)]).astype(float)
    return dict(zip(LISTS, said.reshape(len(LISTS), *folds.shape[:1], params.real_folds, -1), strict=True)), folds


def judge_years(
    path: Path, table: pd.DataFrame, models: Path, hyperparameters: "Hyperparameters", params: Parameters
) -> pd.DataFrame:
    """Train on the first year and judge all: `train_first_year`, `call_asteroids` and `tabulate_calls` in turn.

    Returns
    -------
    DataFrame
        Of `tabulate_calls`; of the rows of recall in `LAST` also ``at_rate``, of `recall_at_realised_rate`.
    """
    scores, folds = train_first_year(path, table, models, hyperparameters, params)
    is_asteroid, rate = (table["classALeRCE"] == "asteroid").to_numpy(), params.false_asteroid_rate
    called = {name: call_asteroids(said, folds, is_asteroid, rate)[0] for name, said in scores.items()}
    calls = tabulate_calls(called, table, params)
    year = table["year"].to_numpy()
    for name, said in scores.items():
        row = (calls["features"] == name) & (calls["year"] == LAST) & (calls["what"] == "recall")
        calls.loc[row, "at_rate"] = recall_at_realised_rate(said, folds, is_asteroid, year, rate)
    return calls


def compare_years(table: pd.DataFrame, names: Sequence[str] = (*WATCHED, "redetection_ratio")) -> pd.DataFrame:
    """Index of every feature between `FIRST` and `LAST`, by class: which ones drift.

    Returns
    -------
    DataFrame
        feature, one column a class with 20 objects or more in both years, largest first.
    """
    features = select(compute_features(table, 1), names)
    columns = {}
    for name in CLASSES:
        sides = [features[(table["classALeRCE"] == name) & (table["year"] == year)] for year in (FIRST, LAST)]
        if min(map(len, sides)) < 20:
            continue
        edges = find_edges(sides[0])
        counts = [count_bins(side, edges, np.zeros(len(side), int), 1)[0] for side in sides]
        columns[f"{name} ({len(sides[0])}, {len(sides[1])})"] = psi(*counts)
    result = pd.DataFrame({"feature": names, **columns})
    return result.sort_values(list(columns)[-1:], ascending=False, ignore_index=True) if columns else result
