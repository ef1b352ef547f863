"""Recall of asteroids at a held rate of false ones, with intervals by night, and the goal that it should last.

Recall alone is worth nothing: whoever calls everything an asteroid finds them all. So it is given at a threshold that
lets a stated share of the first year's other objects pass, beside the share that passes in the year in question.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from twostamp.bootstrap import percentile_interval
from twostamp.params import Parameters

Floats = NDArray[np.float64]
FIRST, LAST = 2018, 2023
"""Years of the goal: trained on the first, to be held within `MARGIN` in the other."""
MARGIN = 0.10
USEFUL = 0.5
"""A classifier that does not find this share of the first year's asteroids has nothing to lose."""
FEW_NIGHTS = 5
"""Fewer nights than this give no interval by night that deserves the name."""


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
        Of `twostamp.real_drift.train_first_year`.
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


def bootstrap_nights(values: ArrayLike, nights: ArrayLike, *, resamples: int, seed: int) -> tuple[float, float, str]:
    """Interval of 95 % of a mean, clustered by night.

    Parameters
    ----------
    values, nights : array_like, shape (n,)
    resamples, seed : int
        Nights are drawn with all their objects (cluster bootstrap).

    Returns
    -------
    low, high, kind
        With one night there is none (NaN); with fewer than `FEW_NIGHTS` the range of the nights' own means.

    Examples
    --------
    >>> bootstrap_nights([1, 1, 0, 1], ["a", "a", "b", "b"], resamples=100, seed=1)
    (0.5, 1.0, 'range of 2 nights')
    """
    values = np.asarray(values, float)
    names, place = np.unique(np.asarray(nights), return_inverse=True)
    sizes = np.bincount(place)
    sums = np.bincount(place, weights=values)
    if len(names) < 2:
        return np.nan, np.nan, "one night: none"
    if len(names) < FEW_NIGHTS:
        means = sums / sizes
        return float(means.min()), float(means.max()), f"range of {len(names)} nights"
    drawn = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return *percentile_interval(drawn @ sums / (drawn @ sizes)), f"by {len(names)} nights"


def tabulate_calls(called: Mapping[str, Floats], table: pd.DataFrame, params: Parameters) -> pd.DataFrame:
    """Recall of asteroids and false-asteroid rate by year and list, both at the first year's threshold.

    Parameters
    ----------
    called : mapping of str to ndarray, shape (repetitions, n)
        By list, of `call_asteroids`.
    table : DataFrame
        Of `twostamp.real_drift.read_real`.
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
