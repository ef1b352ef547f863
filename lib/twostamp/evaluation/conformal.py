"""Predictions that may be "cannot tell": conformal sets, class by class (Vovk 2013, Machine Learning 92, 349).

Each class has its own threshold, from calibration objects of that class. The set of a new object then holds its true
class with at least the chosen coverage, for every class and any mix.

Two conditions must hold. The calibration objects were used for no choice: the best of 70 models without skill covers
0.904 in place of 0.925. And new objects of a class must be like them, which fails after some years (notebook 13).
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
"""Verdict of a consistent coverage. Few objects refute little: 25 of a class allow 0.76 to 1 at a coverage of 0.9."""


def fit_thresholds(probabilities: ArrayLike, labels: ArrayLike, coverage: float) -> Floats:
    """Fit the lowest probability with which a class enters the set.

    Parameters
    ----------
    probabilities : array_like, shape (n, k)
        Probabilities of calibration objects, which were not used in training.
    labels : array_like of int, shape (n,)
    coverage : float
        Share of the objects of each class whose set should hold the class.

    Returns
    -------
    ndarray, shape (k,)
        0 for a class with too few objects for that coverage, which is then in every set.

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
    """Find the rank, from the top, of the threshold among the probabilities of n objects of a class."""
    return math.ceil((n + 1) * coverage - 1e-9)


def make_sets(probabilities: ArrayLike, thresholds: ArrayLike) -> Bools:
    """Build the set of classes of each object, shape (n, k)."""
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
    """Check that the sets hold the true class as often as the coverage asked for.

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
        One row per class and one for all: class, n, covered (share), low, high, verdict, mean size of the set, cannot
        tell, right when told. The last is the share of single-class sets that are right. Low and high are the 95 %
        range of the share at the nominal coverage: beta-binomial, since both samples are finite.
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
    """Compute the 95 % range of a class's covered share at the nominal coverage, and the verdict."""
    rank, n = _rank(calibrated, coverage), row["n"]
    if rank > calibrated or not n:
        return {"verdict": "too few objects to calibrate: in every set" if n else "no test object"}
    law = stats.betabinom(n, rank, calibrated + 1 - rank)
    low, high = (law.ppf(q) / n for q in (LEVEL / 2, 1 - LEVEL / 2))
    verdict = "too low" if row["covered"] < low else "too high" if row["covered"] > high else NOT_REFUTED
    return {"low": low, "high": high, "verdict": verdict}


def _summarise_sets(chosen: Bools, labels: Ints) -> dict[str, Any]:
    """Summarise coverage and size of the sets, and how often they hold a single class, and the right one."""
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
