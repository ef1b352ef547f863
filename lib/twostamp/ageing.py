"""Train on a survey's first year, test year by year: what ageing costs, with and without coordinates (decision M9).

Tests are forward in time by construction. Each repetition besides keeps a quarter of the sky (HEALPix pixels) from its
training, so that accuracy at new times in known fields and in fields never seen are told apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from twostamp.arrays import Preparation, read_metadata
from twostamp.bootstrap import draw_weights, percentile_interval
from twostamp.dataset import filter_pairs
from twostamp.folds import Fold, train_folds, write_objects
from twostamp.params import Parameters
from twostamp.taxonomy import CLASSES

if TYPE_CHECKING:
    from twostamp.training import Hyperparameters

Floats = NDArray[np.float64]
DAYS_PER_YEAR = 365.25
LISTS = {
    "thesis26": "stacked",
    "drift_safe": "stacked_drift_safe",
    "thesis26_no_coordinates": "stacked_thesis26_no_coordinates",
    "drift_safe_no_coordinates": "stacked_drift_safe_no_coordinates",
}
"""The two-stamp classifier (M1) that takes each list."""

COMPARED = (
    ("thesis26", "drift_safe"),
    ("thesis26_no_coordinates", "drift_safe_no_coordinates"),
    ("thesis26", "thesis26_no_coordinates"),
)
"""Pairs of lists: the thesis's against the one that should not age, and with coordinates against without."""

NSIDE = 4
"""Of the pixels kept from training: 192 of 14.7 degrees."""
BLOCKED = 0.25
HELD_OUT = 0.2
FORWARD, BOTH = "time-forward", "time-forward, HEALPix-blocked"
SPLITS = (FORWARD, BOTH)


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
    from twostamp.alerts.survey import Ageing, write_survey
    from twostamp.cluster import open_spark
    from twostamp.extract import extract_first_two
    from twostamp.taxonomy import read_labels

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
        As of `twostamp.arrays.read_metadata`, of the pairs that section 3.4 admits, and ``year`` (from 1), ``batch``
        (from 0). Years count from the first of June 2018 in the simulated survey, from the first alert in an archive.
    """
    from twostamp.alerts.survey.sky import FIRST_NIGHT, julian_midnight

    table, _ = filter_pairs(read_metadata(path), params.deltajd_max, params.ssdistnr_on)
    age = (table["jd_1"] - (julian_midnight(FIRST_NIGHT) if params.simulated else table["jd_1"].min())) / DAYS_PER_YEAR
    table = table.assign(year=age.astype(int) + 1, batch=(age * params.alarm_batches).astype(int))
    return table[table["year"] <= params.ageing_years].reset_index(drop=True)


@dataclass(frozen=True)
class Answers:
    """What the repetitions of each list say of the objects of all years.

    Attributes
    ----------
    labels, years, batches : ndarray, shape (n,), int
    classes : tuple of str
    tested : dict of ndarray, shape (repetitions, n), bool
        By split, the objects on which a repetition is tested.
    right : dict of ndarray, shape (repetitions, n), bool
        By list of features.
    """

    labels: NDArray[np.int64]
    years: NDArray[np.int64]
    batches: NDArray[np.int64]
    classes: tuple[str, ...]
    tested: dict[str, NDArray[np.bool_]]
    right: dict[str, NDArray[np.bool_]]


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
    from twostamp.sky import find_pixels

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
    seeds = [
        int(np.random.SeedSequence([params.seed, 13, i]).generate_state(1)[0]) >> 1
        for i in range(params.ageing_repetitions)
    ]
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
    first_blocked = blocked & ~later
    tested = {FORWARD: new & ~blocked, BOTH: (new & blocked) | first_blocked}
    years, batches = table["year"].to_numpy(), table["batch"].to_numpy()
    return Answers(labels, years, batches, classes, tested, dict(zip(LISTS, right, strict=True)))


def resample_recalls(
    answers: Answers, groups: NDArray[np.int64], tested: NDArray[np.bool_], *, resamples: int, seed: int
) -> dict[str, tuple[Floats, Floats]]:
    """Recall of each class in each group, mean over repetitions, on the objects and on resamples of both.

    Parameters
    ----------
    answers : Answers
    groups : ndarray of int, shape (n,)
        Such as the years.
    tested : ndarray of bool, shape (repetitions, n)
    resamples, seed : int
        Objects are drawn within group and class, and repetitions too, the same for all lists.

    Returns
    -------
    dict of (ndarray, ndarray)
        By list, of shapes (groups, classes) and (resamples, groups, classes); NaN where nothing is tested.
    """
    rng = np.random.default_rng(seed)
    repetitions, k = len(tested), len(answers.classes)
    present = np.unique(groups)
    drawn = rng.integers(0, repetitions, (resamples, repetitions))
    found = {name: np.full((resamples + 1, len(present), k), np.nan) for name in answers.right}
    for g, group in enumerate(present):
        for label in range(k):
            rows = np.flatnonzero((groups == group) & (answers.labels == label))
            if not rows.size:
                continue
            weights = np.vstack([np.ones((1, rows.size)), draw_weights(np.zeros(rows.size, int), resamples, rng)])
            total = weights @ tested[:, rows].T
            for name, right in answers.right.items():
                hits = weights @ (tested & right)[:, rows].T
                share = np.divide(hits, total, out=np.full_like(hits, np.nan), where=total > 0)
                share[1:] = np.take_along_axis(share[1:], drawn, axis=1)
                with np.errstate(invalid="ignore"):
                    found[name][:, g, label] = _nanmean(share, axis=1)
    return {name: (values[0], values[1:]) for name, values in found.items()}


def _nanmean(values: Floats, axis: int) -> Floats:
    count = (~np.isnan(values)).sum(axis=axis)
    return np.where(count > 0, np.nansum(values, axis=axis) / np.maximum(count, 1), np.nan)


def tabulate_years(answers: Answers, params: Parameters) -> pd.DataFrame:
    """Accuracy (mean of the classes' recalls) and recalls by year, list and split, with intervals of 95 %.

    Returns
    -------
    DataFrame
        features, split, year, score, n (objects, those of several repetitions once), value, low, high.
    """
    rows = []
    for split, tested in answers.tested.items():
        options = {"resamples": params.bootstrap_resamples, "seed": params.seed}
        recalls = resample_recalls(answers, answers.years, tested, **options)
        for name, (values, drawn) in recalls.items():
            scores = {"accuracy": (_nanmean(values, -1), _nanmean(drawn, -1))}
            scores |= {f"recall {c}": (values[:, i], drawn[..., i]) for i, c in enumerate(answers.classes)}
            for g, year in enumerate(np.unique(answers.years)):
                here = tested.any(axis=0) & (answers.years == year)
                for score, (value, resampled) in scores.items():
                    label = answers.classes.index(score[7:]) if score.startswith("recall") else -1
                    n = int((here & ((answers.labels == label) | (label < 0))).sum())
                    interval = percentile_interval(resampled[:, g][~np.isnan(resampled[:, g])]) if n else (np.nan,) * 2
                    rows.append((name, split, int(year), score, n, value[g], *interval))
    return pd.DataFrame(rows, columns=["features", "split", "year", "score", "n", "value", "low", "high"])


def compare_falls(answers: Answers, pairs: Sequence[tuple[str, str]], params: Parameters) -> pd.DataFrame:
    """How far accuracy falls from the first year to the last, by list, and paired differences of it.

    Parameters
    ----------
    answers : Answers
    pairs : sequence of (str, str)
        Lists to compare: the fall of the first minus that of the second; pairs that are not there are left out.
    params : Parameters

    Returns
    -------
    DataFrame
        split, what, first (accuracy of the first year), last, fall, low, high.
    """
    rows = []
    for split, tested in answers.tested.items():
        options = {"resamples": params.bootstrap_resamples, "seed": params.seed}
        recalls = resample_recalls(answers, answers.years, tested, **options)
        accuracy = {name: (_nanmean(value, -1), _nanmean(drawn, -1)) for name, (value, drawn) in recalls.items()}
        falls = {name: (value[0] - value[-1], drawn[:, 0] - drawn[:, -1]) for name, (value, drawn) in accuracy.items()}
        for name, (fall, drawn) in falls.items():
            ends = accuracy[name][0][[0, -1]]
            rows.append((split, name, *ends, fall, *percentile_interval(drawn)))
        for a, b in (pair for pair in pairs if set(pair) <= set(falls)):
            difference = falls[a][1] - falls[b][1]
            rows.append(
                (split, f"{a} - {b}", np.nan, np.nan, falls[a][0] - falls[b][0], *percentile_interval(difference))
            )
    return pd.DataFrame(rows, columns=["split", "what", "first", "last", "fall", "low", "high"])


def judge_falls(falls: pd.DataFrame, answers: Answers) -> pd.DataFrame:
    """Say of each fall, or difference of falls, whether it is there, and from how many objects.

    Parameters
    ----------
    falls : DataFrame
        Of `compare_falls`.
    answers : Answers

    Returns
    -------
    DataFrame
        `falls` with n_first and n_last (objects tested in the two years) and verdict.
    """
    ends = {"n_first": answers.years.min(), "n_last": answers.years.max()}
    counts = {
        split: {end: int((tested.any(axis=0) & (answers.years == year)).sum()) for end, year in ends.items()}
        for split, tested in answers.tested.items()
    }
    columns = {end: [counts[split][end] for split in falls["split"]] for end in ends}
    verdict = np.where(falls["low"] > 0, "falls", np.where(falls["high"] < 0, "rises", "cannot tell"))
    verdict = np.where(falls["first"].isna() & (falls["low"] > 0), "first falls more", verdict)
    verdict = np.where(falls["first"].isna() & (falls["high"] < 0), "second falls more", verdict)
    return falls.assign(**columns, verdict=verdict)


def describe_falls(judged: pd.DataFrame, data: str) -> list[str]:
    """One sentence a row of `judge_falls`."""
    lines = []
    for row in judged.to_dict("records"):
        ends = "" if np.isnan(row["first"]) else f" from {100 * row['first']:.1f} to {100 * row['last']:.1f} %,"
        size = f"n {row['n_first']} and {row['n_last']}"
        between = f"{100 * row['fall']:.1f} points [{100 * row['low']:.1f}, {100 * row['high']:.1f}]"
        lines.append(f"{data}, {row['split']}: {row['what']}{ends} {between}, {size}: {row['verdict']}")
    return lines
