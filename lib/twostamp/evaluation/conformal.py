"""Answers that may be "cannot tell": conformal sets, class by class (Vovk 2013, Machine Learning 92, 349).

Each class has a threshold of its own, from calibration objects of that class. The set of a new object then holds its
true class in at least the wanted share of the cases, for every class, in any mix of classes, if two things hold:
calibration objects have chosen nothing (the best of 70 models that know nothing covers 0.904 where it promises 0.925),
and new objects of a class are like them (years on they are not: notebook 13).
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from twostamp.evaluation.bootstrap import LEVEL
from twostamp.evaluation.predictions import Predictions
from twostamp.utils.typing import Bools, Floats, Ints

CANNOT_TELL = "cannot tell"
NOT_REFUTED = "not refuted"
"""Of few objects a promise is hard to refute: 25 of a class allow 0.76 to 1 where 0.9 is promised."""


def fit_thresholds(probabilities: ArrayLike, labels: ArrayLike, coverage: float) -> Floats:
    """Least probability with which a class enters the set.

    Parameters
    ----------
    probabilities : array_like, shape (n, k)
        Of calibration objects, from which the model has not learned.
    labels : array_like of int, shape (n,)
    coverage : float
        Share of the objects of each class whose set should hold it.

    Returns
    -------
    ndarray, shape (k,)
        0 for a class with too few objects for that coverage: it is in every set.

    Examples
    --------
    >>> fit_thresholds([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.3, 0.7]], [0, 0, 0, 1], coverage=0.75).tolist()
    [0.6, 0.0]
    """
    values, labels = np.asarray(probabilities, float), np.asarray(labels)
    thresholds = np.zeros(values.shape[1])
    for k in range(values.shape[1]):
        of_class = np.sort(values[labels == k, k])[::-1]
        rank = _rank(of_class.size, coverage)
        thresholds[k] = of_class[rank - 1] if rank <= of_class.size else 0.0
    return thresholds


def _rank(n: int, coverage: float) -> int:
    """Place, from the top, of the threshold among the probabilities of n objects of a class."""
    return math.ceil((n + 1) * coverage - 1e-9)


def make_sets(probabilities: ArrayLike, thresholds: ArrayLike) -> Bools:
    """Classes in the set of each object, shape (n, k)."""
    return np.asarray(probabilities, float) >= np.asarray(thresholds)


def check_conformal_sets(validation: Predictions, test: Predictions, coverage: float) -> dict[str, pd.DataFrame]:
    """Fit the sets of each model's ensemble on validation, and check them on test: `check_coverage` by model."""
    new, tables = test.ensemble(), {}
    for model, probabilities in validation.ensemble().items():
        sets = make_sets(new[model], fit_thresholds(probabilities, validation.labels, coverage))
        tables[model] = check_coverage(sets, test.labels, test.classes, coverage, validation.labels)
    return tables


def check_coverage(
    sets: ArrayLike, labels: ArrayLike, classes: Sequence[str], coverage: float, calibration: ArrayLike
) -> pd.DataFrame:
    """Check that the sets hold the true class as often as they promise.

    Parameters
    ----------
    sets : array_like of bool, shape (n, k)
        Of test objects.
    labels : array_like of int, shape (n,)
    classes : sequence of str, length k
    coverage : float
    calibration : array_like of int, shape (m,)
        Labels of the calibration objects.

    Returns
    -------
    DataFrame
        One row a class and one for all: class, n, covered (share), low, high (where the share lies in 95 % of the cases
        if the promise holds: beta-binomial law, for both sets are finite), verdict, mean size of the set, cannot tell
        (share), right when told (share of single-class answers that are right).
    """
    chosen, labels = np.asarray(sets, bool), np.asarray(labels)
    counts = np.bincount(np.asarray(calibration), minlength=len(classes))
    rows = []
    for k, name in enumerate(classes):
        row = _summarise_sets(chosen[labels == k], labels[labels == k])
        rows.append({"class": name, **row, **_test_promise(row, int(counts[k]), coverage)})
    rows.append({"class": "all", **_summarise_sets(chosen, labels), "verdict": ""})
    columns = ["class", "n", "covered", "low", "high", "verdict", "mean size", CANNOT_TELL, "right when told"]
    return pd.DataFrame(rows).reindex(columns=columns)


def _test_promise(row: dict[str, Any], calibrated: int, coverage: float) -> dict[str, Any]:
    """Where the covered share of a class lies in 95 % of the cases if the promise holds, and whether it does."""
    rank, n = _rank(calibrated, coverage), row["n"]
    if rank > calibrated or not n:
        return {"verdict": "too few objects to calibrate: in every set" if n else "no test object"}
    law = stats.betabinom(n, rank, calibrated + 1 - rank)
    low, high = (law.ppf(q) / n for q in (LEVEL / 2, 1 - LEVEL / 2))
    verdict = "too low" if row["covered"] < low else "too high" if row["covered"] > high else NOT_REFUTED
    return {"low": low, "high": high, "verdict": verdict}


def _summarise_sets(chosen: Bools, labels: Ints) -> dict[str, Any]:
    """Coverage and size of the sets, and how often they hold one class alone, and the right one."""
    if not len(labels):
        return {"n": 0}
    covered = chosen[np.arange(len(labels)), labels]
    single = chosen.sum(axis=1) == 1
    return {
        "n": len(labels),
        "covered": float(covered.mean()),
        "mean size": float(chosen.sum(axis=1).mean()),
        CANNOT_TELL: float(1 - single.mean()),
        "right when told": float(covered[single].mean()) if single.any() else math.nan,
    }
