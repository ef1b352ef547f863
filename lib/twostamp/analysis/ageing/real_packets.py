"""Does a classifier trained on 2018's real packets still find asteroids years later? (decision M9)

Trainings on 2018 by cross-fitting, asked of all years; `asteroid_recall` judges what they say.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from sklearn.model_selection import StratifiedGroupKFold

from twostamp.analysis.ageing.lead_time import WATCHED, select
from twostamp.data.arrays import Preparation, read_metadata
from twostamp.data.features import compute_features
from twostamp.evaluation.bootstrap import FEW_NIGHTS, bootstrap_nights
from twostamp.evaluation.drift import count_bins, find_edges, psi
from twostamp.models.cross_fitting import Fold, train_folds, write_objects
from twostamp.params import Parameters

if TYPE_CHECKING:
    from twostamp.models.training import Hyperparameters

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
    from twostamp.alerts.extraction import extract_first_two
    from twostamp.data.labels import read_labels
    from twostamp.utils.spark import open_spark

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
    from twostamp.utils.healpix import find_pixels

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


FIRST, LAST = 2018, 2023
"""Years of the goal: trained on the first, to be held within `MARGIN` in the other."""
MARGIN = 0.10
USEFUL = 0.5
"""A classifier that does not find this share of the first year's asteroids has nothing to lose."""


def find_threshold(others: ArrayLike, rate: float) -> float:
    """Lowest threshold above which at most a share ``rate`` of the scores of other classes lies.

    Examples
    --------
    >>> find_threshold([0.1, 0.2, 0.3, 0.9], rate=0.25), find_threshold([1.0, 1.0, 1.0, 1.0], rate=0.25)
    (0.3, 1.0)
    """
    scores = np.sort(np.asarray(others, float))
    return float(scores[len(scores) - 1 - int(rate * len(scores) + 1e-9)])


def call_asteroids(
    scores: Floats, folds: NDArray[np.int64], is_asteroid: NDArray[np.bool_], rate: float
) -> tuple[Floats, Floats]:
    """How often each object is called an asteroid at the first year's false-asteroid rate.

    Parameters
    ----------
    scores : ndarray, shape (repetitions, folds, n)
        Of `twostamp.analysis.ageing.real_packets.train_first_year`.
    folds : ndarray, shape (repetitions, n)
    is_asteroid : ndarray of bool, shape (n,)
    rate : float
        Share of the first year's other objects that may be called one. The threshold of each repetition is set on its
        held-out objects, and nothing else.

    Returns
    -------
    called : ndarray, shape (repetitions, n)
        Of the first year 0 or 1, by the training that held it out; of later years the share of the trainings.
    thresholds : ndarray, shape (repetitions,)
    """
    called, thresholds = np.empty(folds.shape), np.empty(len(folds))
    for i, (said, fold) in enumerate(zip(scores, folds, strict=True)):
        first = fold >= 0
        held_out = np.take_along_axis(said, np.where(first, fold, 0)[None], axis=0)[0]
        thresholds[i] = find_threshold(held_out[first & ~is_asteroid], rate)
        called[i] = np.where(first, held_out > thresholds[i], (said > thresholds[i]).mean(axis=0))
    return called, thresholds


def recall_at_realised_rate(
    scores: Floats, folds: NDArray[np.int64], is_asteroid: NDArray[np.bool_], year: NDArray[np.int64], rate: float
) -> float:
    """Recall in the last year if the threshold were set anew on later years' other objects: needs their labels.

    It tells ageing of the order, which no new threshold can mend, from ageing of the threshold alone.
    """
    later, wanted = (folds[0] < 0) & ~is_asteroid, is_asteroid & (year == LAST)
    recalls = [
        (said[wanted] > find_threshold(said[later], rate)).mean() for said in scores.reshape(-1, scores.shape[-1])
    ]
    return float(np.mean(recalls))


def tabulate_calls(called: Mapping[str, Floats], table: pd.DataFrame, params: Parameters) -> pd.DataFrame:
    """Recall of asteroids and false-asteroid rate by year and list, both at the first year's threshold.

    Parameters
    ----------
    called : mapping of str to ndarray, shape (repetitions, n)
        By list, of `call_asteroids`.
    table : DataFrame
        Of `twostamp.analysis.ageing.real_packets.read_real`.
    params : Parameters

    Returns
    -------
    DataFrame
        features, year, what (recall, false rate), n, n_nights, nights (by name, with their objects), value (mean over
        the repetitions), seeds_low, seeds_high (range over the repetitions), low, high, interval (what they are).
    """
    is_asteroid = (table["classALeRCE"] == "asteroid").to_numpy()
    rows = []
    for name, answers in called.items():
        for year in sorted(table["year"].unique()):
            for what, chosen in (("recall", is_asteroid), ("false rate", ~is_asteroid)):
                here = chosen & (table["year"] == year).to_numpy()
                if not here.any():
                    continue
                nights, each = table["night"].to_numpy()[here], answers[:, here].mean(axis=1)
                interval = bootstrap_nights(
                    answers[:, here].mean(axis=0), nights, resamples=params.bootstrap_resamples, seed=params.seed
                )
                size = int(here.sum()), len(set(nights)), name_nights(nights)
                rows.append((name, year, what, *size, each.mean(), each.min(), each.max(), *interval))
    columns = ["features", "year", "what", "n", "n_nights", "nights", "value", "seeds_low", "seeds_high"]
    return pd.DataFrame(rows, columns=[*columns, "low", "high", "interval"])


def name_nights(nights: Sequence[str]) -> str:
    """Name nights with their objects, or count them where they are many.

    Examples
    --------
    >>> name_nights(["2018-06-07", "2018-11-29", "2018-11-29"])
    '2018-06-07 (1), 2018-11-29 (2)'
    """
    counts = pd.Series(nights).value_counts().sort_index()
    return ", ".join(f"{night} ({n})" for night, n in counts.items()) if len(counts) <= 5 else f"{len(counts)} nights"


def judge_goal(calls: pd.DataFrame, rate: float) -> pd.DataFrame:
    """Say by list whether recall in `LAST` is within `MARGIN` of `FIRST`'s without more false asteroids.

    Nights are what was sampled, so fewer than `FEW_NIGHTS` of asteroids in either year cannot tell of the survey,
    whatever is found on them.

    Returns
    -------
    DataFrame
        features, recall in both years, loss, false rate of the last year, its 95 % limits (exact, as if objects were
        independent), on these nights (what holds there), verdict.
    """
    rows = []
    for name, part in calls.groupby("features", sort=False):
        pick = {(row["year"], row["what"]): row for row in part.to_dict("records")}
        before, after, wrong = pick[FIRST, "recall"], pick[LAST, "recall"], pick[LAST, "false rate"]
        loss = before["value"] - after["value"]
        limits = stats.binomtest(round(wrong["value"] * wrong["n"]), int(wrong["n"])).proportion_ci()
        kept = loss <= MARGIN and (np.isnan(after["low"]) or before["value"] - after["low"] <= MARGIN)
        more = limits.low > rate
        useful = before["value"] >= USEFUL
        found = ("kept" if kept else "lost") if useful else "nothing to lose"
        found += f", false asteroids {'more' if more else 'not more'} than in {FIRST}"
        few = min(before["n_nights"], after["n_nights"]) < FEW_NIGHTS
        met = useful and kept and not more
        verdict = "too few nights to tell" if few else ("goal met" if met else "goal not met")
        rows.append(
            (name, before["value"], after["value"], loss, wrong["value"], limits.low, limits.high, found, verdict)
        )
    columns = [f"recall {FIRST}", f"recall {LAST}", "loss", f"false rate {LAST}", "low", "high", "on these nights"]
    return pd.DataFrame(rows, columns=["features", *columns, "verdict"])


def describe_goal(verdicts: pd.DataFrame, calls: pd.DataFrame) -> list[str]:
    """One sentence a list: recalls with their nights and n, false asteroids beside them, and the verdict."""
    lines = []
    for row in verdicts.to_dict("records"):
        part = calls[calls["features"] == row["features"]].set_index(["year", "what"])
        parts = []
        for year in (FIRST, LAST):
            found, wrong = part.loc[(year, "recall")], part.loc[(year, "false rate")]
            parts.append(
                f"{year}: recall {100 * found['value']:.1f} % of {found['n']} on {found['nights']} "
                f"[{100 * found['low']:.1f}, {100 * found['high']:.1f}; {found['interval']}; repetitions "
                f"{100 * found['seeds_low']:.0f} to {100 * found['seeds_high']:.0f}], false asteroids "
                f"{100 * wrong['value']:.1f} % of {wrong['n']}"
            )
        end = f"on these nights {row['on these nights']}; goal: {row['verdict']}"
        lines.append(f"real packets, {row['features']}: {'; '.join(parts)}; {end}")
    return lines
