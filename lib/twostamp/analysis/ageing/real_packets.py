"""Does a classifier trained on 2018's real packets still find asteroids years later? (decision M9)

Asteroid recall by year at a fixed false-asteroid rate, with intervals by night. Recall alone is worth nothing: whoever
calls everything an asteroid finds them all.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats
from sklearn.model_selection import StratifiedGroupKFold

from twostamp.analysis.ageing.drift_alarm import read_features
from twostamp.analysis.ageing.training import Split, predict_all_years
from twostamp.data.arrays import read_metadata
from twostamp.data.feature_lists import FEATURE_LISTS
from twostamp.data.real_packets import add_nights
from twostamp.evaluation.bootstrap import FEW_NIGHTS, Bootstrap
from twostamp.evaluation.drift import count_bins, measure_psi
from twostamp.models.training import Hyperparameters
from twostamp.params import Parameters
from twostamp.utils.healpix import find_pixels
from twostamp.utils.typing import Bools, Floats, Ints

_CLASSES = ("VS", "asteroid", "bogus")
_LARGE_NIGHT = 0.2
"""A night with more than this share of the first year's objects is divided by place instead of held out whole."""
_NSIDE = 64
"""Of the places: HEALPix pixels of 0.9 degrees."""
_LISTS = {
    "thesis26": "stamp_26",
    "drift_safe": "stamp_drift_safe",
    "drift_safe_no_coordinates": "stamp_drift_safe_no_coordinates",
}
"""The one-stamp classifier (M0) that takes each list."""

FIRST, LAST = 2018, 2023
"""Years of the goal: trained on the first, to be held within 10 points of recall in the other."""
_MARGIN = 0.10
_USEFUL = 0.5
"""A classifier that does not find this share of the first year's asteroids has nothing to lose."""
_MINIMUM = 20
"""Objects of a class in either year below which no drift is measured."""

NO_PACKETS = (
    "TWOSTAMP_REAL_ALERTS names no folder of real packets with a labels.csv, "
    f"{_MINIMUM} variable stars, asteroids and bogus of {FIRST}, and asteroids of {LAST}"
)
CAPTION = (
    "Asteroid recall and false asteroids by year at the threshold that lets {rate:.0%} of 2018's VS and bogus pass. "
    "Thin lines: 95 % by night, or the range of few nights; wide: range of the repetitions."
)


def read_real(path: Path) -> pd.DataFrame | None:
    """Read the first packets of variable stars, asteroids and bogus, with year and night (UTC) of each.

    None where the first year has fewer than `_MINIMUM` of a class, or the last has no asteroid.
    """
    table = read_metadata(path)
    table = table[table["classALeRCE"].isin(_CLASSES)].reset_index(drop=True)
    table = add_nights(table)
    sizes = table.groupby(["classALeRCE", "year"]).size()
    enough = all(sizes.get((name, FIRST), 0) >= _MINIMUM for name in _CLASSES)
    return table if enough and ("asteroid", LAST) in sizes.index else None


def count_real(table: pd.DataFrame) -> pd.DataFrame:
    """Objects and nights of each class by year: what there is to conclude from."""
    groups = table.groupby(["year", "classALeRCE"])
    counts = groups.agg(objects=("objectId", "size"), nights=("night", "nunique"))
    largest = groups["night"].agg(lambda nights: nights.mode()[0]).rename("largest night")
    share = groups["night"].agg(lambda nights: nights.value_counts(normalize=True).max()).rename("its share")
    return counts.join([largest, share]).reset_index()


def compare_features(table: pd.DataFrame) -> pd.DataFrame:
    """Stability index of every feature but coordinates between `FIRST` and `LAST`, by class: which ones drift.

    Returns
    -------
    DataFrame
        feature, one column a class with 20 objects or more in both years, largest first.
    """
    names = (*FEATURE_LISTS["thesis26_no_coordinates"], "redetection_ratio")
    features, columns = read_features(table, names), {}
    for name in _CLASSES:
        years = table["year"].where(table["classALeRCE"] == name)
        sizes = [int((years == year).sum()) for year in (FIRST, LAST)]
        if min(sizes) >= _MINIMUM:
            batch = np.select([years == FIRST, years == LAST], [0, 1], -1)
            columns[f"{name} ({sizes[0]}, {sizes[1]})"] = measure_psi(count_bins(features, batch, 2, 1), 1)[0]
    result = pd.DataFrame({"feature": names, **columns})
    return result.sort_values(list(columns)[-1:], ascending=False, ignore_index=True) if columns else result


def divide_first_year(table: pd.DataFrame, folds: int, seed: int) -> Ints:
    """Assign the first year's objects to folds: whole nights, but places of the sky within a night that is too large.

    Returns
    -------
    ndarray of int, shape (n,)
        -1 for objects of later years.
    """
    known = np.flatnonzero(table["year"] == FIRST)
    nights = table["night"].to_numpy()[known]
    sizes = table["night"].iloc[known].value_counts()
    large = np.isin(nights, sizes.index[sizes.to_numpy() > _LARGE_NIGHT * len(known)])
    pixels = find_pixels(table["ra_1"].iloc[known], table["dec_1"].iloc[known], _NSIDE).astype(str)
    groups = np.where(large, np.char.add("pixel ", pixels), nights.astype(str))
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    fold = np.full(len(table), -1)
    for number, (_, held_out) in enumerate(splitter.split(known, table["classALeRCE"].iloc[known], groups)):
        fold[known[held_out]] = number
    return fold


def train_and_test_real(
    path: Path, table: pd.DataFrame, models: Path, hyperparameters: Hyperparameters, params: Parameters
) -> pd.DataFrame:
    """Train every list on the first year's packets by cross-fitting, and test on the packets of all years.

    Packets are of `extract_real` and `read_real`; the trainings leave their predictions in `models`.

    Returns
    -------
    DataFrame
        Of `tabulate_recalls`; of the rows of recall in `LAST` also ``at_rate``, of `recall_at_realised_rate`.
    """
    scores, folds = _score_by_cross_fitting(path, table, models, hyperparameters, params)
    is_asteroid, rate = (table["classALeRCE"] == "asteroid").to_numpy(), params.false_asteroid_rate
    is_called = {name: call_asteroids(values, folds, is_asteroid, rate)[0] for name, values in scores.items()}
    recalls = tabulate_recalls(is_called, table, Bootstrap(params.bootstrap_resamples, params.seed))
    wanted = is_asteroid & (table["year"] == LAST).to_numpy()
    for name, values in scores.items():
        row = (recalls["features"] == name) & (recalls["year"] == LAST) & (recalls["what"] == "recall")
        recalls.loc[row, "at_rate"] = recall_at_realised_rate(values, (folds[0] < 0) & ~is_asteroid, wanted, rate)
    return recalls


def _score_by_cross_fitting(
    path: Path, table: pd.DataFrame, models: Path, hyperparameters: Hyperparameters, params: Parameters
) -> tuple[dict[str, Floats], Ints]:
    """p(asteroid) by list, shape (repetitions, folds, n), and each repetition's `divide_first_year`."""
    repetitions = range(params.real_repetitions)
    folds = np.stack([divide_first_year(table, params.real_folds, params.seed + i) for i in repetitions])
    first = (table["year"] == FIRST).to_numpy()
    splits = [
        Split(np.flatnonzero(first & (fold != k)), np.flatnonzero(fold == k), params.seed + 1000 * i + k)
        for i, fold in enumerate(folds)
        for k in range(params.real_folds)
    ]
    labels = np.array([_CLASSES.index(name) for name in table["classALeRCE"]])
    variants = list(_LISTS.values())
    probabilities = predict_all_years(path, table, labels, splits, variants, models, hyperparameters, params)
    scores = probabilities[..., _CLASSES.index("asteroid")].astype(float)
    return dict(zip(_LISTS, scores.reshape(len(_LISTS), len(folds), params.real_folds, -1), strict=True)), folds


def find_threshold(others: ArrayLike, rate: float) -> float:
    """Lowest threshold above which at most a share ``rate`` of the scores of other classes lies.

    Examples
    --------
    >>> find_threshold([0.1, 0.2, 0.3, 0.9], rate=0.25), find_threshold([1.0, 1.0, 1.0, 1.0], rate=0.25)
    (0.3, 1.0)
    """
    scores = np.sort(np.asarray(others, float))
    return float(scores[len(scores) - 1 - int(rate * len(scores) + 1e-9)])


def call_asteroids(scores: Floats, folds: Ints, is_asteroid: Bools, rate: float) -> tuple[Floats, Floats]:
    """How often each object is called an asteroid at the first year's false-asteroid rate.

    Parameters
    ----------
    scores : ndarray, shape (repetitions, folds, n)
        p(asteroid) of each training.
    folds : ndarray, shape (repetitions, n)
        Of `divide_first_year`.
    is_asteroid : ndarray of bool, shape (n,)
    rate : float
        Share of the first year's other objects that may be called one. The threshold of each repetition is set on its
        held-out objects, and nothing else.

    Returns
    -------
    is_called : ndarray, shape (repetitions, n)
        Of the first year 0 or 1, by the training that held it out; of later years the share of the trainings.
    thresholds : ndarray, shape (repetitions,)
    """
    is_called, thresholds = np.empty(folds.shape), np.empty(len(folds))
    for i, (values, fold) in enumerate(zip(scores, folds, strict=True)):
        first = fold >= 0
        held_out = np.take_along_axis(values, np.where(first, fold, 0)[None], axis=0)[0]
        thresholds[i] = find_threshold(held_out[first & ~is_asteroid], rate)
        is_called[i] = np.where(first, held_out > thresholds[i], (values > thresholds[i]).mean(axis=0))
    return is_called, thresholds


def recall_at_realised_rate(scores: Floats, others: Bools, asteroids: Bools, rate: float) -> float:
    """Recall of later asteroids if the threshold were set anew on later years' other objects: needs their labels.

    It tells ageing of the order, which no new threshold can mend, from ageing of the threshold alone.
    """
    trainings = scores.reshape(-1, scores.shape[-1])
    return float(np.mean([(p[asteroids] > find_threshold(p[others], rate)).mean() for p in trainings]))


def tabulate_recalls(is_called: Mapping[str, Floats], table: pd.DataFrame, bootstrap: Bootstrap) -> pd.DataFrame:
    """Recall of asteroids and false-asteroid rate by year and list, both at the first year's threshold.

    Objects are of `read_real`, `is_called` of `call_asteroids` by list; nights are resampled.

    Returns
    -------
    DataFrame
        features, year, what (recall, false rate), n, n_nights, nights (by name, with their objects), value (mean over
        the repetitions), seeds_low, seeds_high (range over the repetitions), low, high, interval (what they are).
    """
    is_asteroid = (table["classALeRCE"] == "asteroid").to_numpy()
    rows = []
    for name, called in is_called.items():
        for year in sorted(table["year"].unique()):
            for what, chosen in (("recall", is_asteroid), ("false rate", ~is_asteroid)):
                here = chosen & (table["year"] == year).to_numpy()
                if not here.any():
                    continue
                nights, each = table["night"].to_numpy()[here], called[:, here].mean(axis=1)
                interval = bootstrap.interval_by_night(called[:, here].mean(axis=0), nights)
                size = int(here.sum()), len(set(nights)), _name_nights(nights)
                rows.append((name, year, what, *size, each.mean(), each.min(), each.max(), *interval))
    columns = ["features", "year", "what", "n", "n_nights", "nights", "value", "seeds_low", "seeds_high"]
    return pd.DataFrame(rows, columns=[*columns, "low", "high", "interval"])


def _name_nights(nights: ArrayLike) -> str:
    """Name nights with their objects, ``2018-06-07 (1), 2018-11-29 (2)``, or count them where they are many."""
    counts = pd.Series(nights).value_counts().sort_index()
    return ", ".join(f"{night} ({n})" for night, n in counts.items()) if len(counts) <= 5 else f"{len(counts)} nights"


def test_against_goal(recalls: pd.DataFrame, rate: float) -> pd.DataFrame:
    """Test by list whether recall in `LAST` is within 10 points of `FIRST`'s without more false asteroids.

    Nights are what was sampled, so fewer than `FEW_NIGHTS` of asteroids in either year cannot tell of the survey,
    whatever is found on them.

    Returns
    -------
    DataFrame
        features, recall in both years, loss, false rate of the last year, its 95 % limits (exact, as if objects were
        independent), on these nights (what holds there), verdict.
    """
    rows = []
    for name, part in recalls.groupby("features", sort=False):
        found = {(row["year"], row["what"]): row for row in part.to_dict("records")}
        before, after, wrong = found[FIRST, "recall"], found[LAST, "recall"], found[LAST, "false rate"]
        loss = before["value"] - after["value"]
        limits = stats.binomtest(round(wrong["value"] * wrong["n"]), int(wrong["n"])).proportion_ci()
        kept = loss <= _MARGIN and (np.isnan(after["low"]) or before["value"] - after["low"] <= _MARGIN)
        more, useful = limits.low > rate, before["value"] >= _USEFUL
        here = ("kept" if kept else "lost") if useful else "nothing to lose"
        here += f", false asteroids {'more' if more else 'not more'} than in {FIRST}"
        few = min(before["n_nights"], after["n_nights"]) < FEW_NIGHTS
        verdict = "goal met" if useful and kept and not more else "goal not met"
        numbers = before["value"], after["value"], loss, wrong["value"], limits.low, limits.high
        rows.append((name, *numbers, here, "too few nights to tell" if few else verdict))
    columns = [f"recall {FIRST}", f"recall {LAST}", "loss", f"false rate {LAST}", "low", "high", "on these nights"]
    return pd.DataFrame(rows, columns=["features", *columns, "verdict"])


def summarise_goal(verdicts: pd.DataFrame, recalls: pd.DataFrame) -> list[str]:
    """One sentence a list: recalls with their nights and n, false asteroids beside them, and the verdict."""
    lines = []
    for row in verdicts.to_dict("records"):
        part = recalls[recalls["features"] == row["features"]].set_index(["year", "what"])
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
