"""Accuracy and recall by year with intervals over objects and repetitions, and how far they fall."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from twostamp.evaluation.bootstrap import draw_weights, mean_known, percentile_interval
from twostamp.evaluation.predictions import Floats
from twostamp.params import Parameters

COMPARED = (
    ("thesis26", "drift_safe"),
    ("thesis26_no_coordinates", "drift_safe_no_coordinates"),
    ("thesis26", "thesis26_no_coordinates"),
)
"""Pairs of lists: the thesis's against the one that should not age, and with coordinates against without."""


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
                found[name][:, g, label] = mean_known(share, axis=1)
    return {name: (values[0], values[1:]) for name, values in found.items()}


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
            scores = {"accuracy": (mean_known(values, -1), mean_known(drawn, -1))}
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
        accuracy = {name: (mean_known(value, -1), mean_known(drawn, -1)) for name, (value, drawn) in recalls.items()}
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
