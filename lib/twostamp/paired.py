"""Tests on models that saw the same objects or the same splits; each says what it takes to be random.

Repeated splits: Nadeau and Bengio's corrected t (2003, Machine Learning 52, 239), two one-sided tests for equivalence
on the same variance, and Bouthillier et al.'s P(A > B) (2021, MLSys). Objects of one test set: McNemar's and Cochran's
tests (statsmodels), and DeLong et al.'s (1988, Biometrics 44, 837) for areas under ROC curves.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from statsmodels.stats.contingency_tables import cochrans_q, mcnemar

from twostamp.bootstrap import draw_rows, mean_interval
from twostamp.significance import LEVEL, Alternative, WelchResult

Floats = NDArray[np.float64]
CONFIDENCE = 1 - LEVEL


@dataclass(frozen=True)
class Comparison:
    """How one model differs from another.

    Attributes
    ----------
    difference, low, high : float
        Of the first model minus the second, and its interval of 95 %.
    p_value : float
        Two-sided; NaN when the test is undefined.
    reason : str
        Why it is undefined; empty when it is not.
    """

    difference: float
    low: float
    high: float
    p_value: float
    reason: str = ""


def corrected_error(differences: ArrayLike, test_share: float) -> float:
    """Standard error of a mean difference over splits that share objects (Nadeau and Bengio 2003, their equation 14).

    Parameters
    ----------
    differences : array_like, shape (n,)
        One a split.
    test_share : float
        Test objects over training objects; 0 for independent differences.

    Examples
    --------
    >>> round(corrected_error([0.01, 0.03, 0.02], test_share=0), 5), round(corrected_error([0.01, 0.03, 0.02], 0.25), 5)
    (0.00577, 0.00764)
    """
    values = np.asarray(differences, float)
    return float(values.std(ddof=1) * math.sqrt(1 / values.size + test_share))


def corrected_t_test(differences: ArrayLike, test_share: float, alternative: Alternative = "two-sided") -> WelchResult:
    """Test whether a mean difference over repeated splits is 0, corrected for the objects that splits share.

    Parameters
    ----------
    differences : array_like, shape (n,)
        Score of one model minus that of the other, one a split.
    test_share : float
        As for `corrected_error`; 0 is the ordinary paired t test.
    alternative : {"two-sided", "less", "greater"}

    Returns
    -------
    WelchResult
        Statistic and p; NaN with the reason for fewer than two differences or none that differ.
    """
    values = np.asarray(differences, float)
    if reason := _why_undefined(values):
        return WelchResult(math.nan, math.nan, reason)
    statistic = float(values.mean() / corrected_error(values, test_share))
    student = stats.t(values.size - 1)
    p_values = {"less": student.cdf(statistic), "greater": student.sf(statistic)}
    p_values["two-sided"] = 2 * student.sf(abs(statistic))
    return WelchResult(statistic, float(p_values[alternative]))


def compare_splits(first: ArrayLike, second: ArrayLike, test_share: float) -> Comparison:
    """Compare the scores of two models over the same splits: `corrected_t_test` with its interval."""
    values = np.asarray(first, float) - np.asarray(second, float)
    result = corrected_t_test(values, test_share)
    if result.reason:
        mean = float(values.mean()) if values.size else math.nan
        return Comparison(mean, math.nan, math.nan, math.nan, result.reason)
    half = stats.t.isf((1 - CONFIDENCE) / 2, values.size - 1) * corrected_error(values, test_share)
    return Comparison(float(values.mean()), values.mean() - half, values.mean() + half, result.p_value)


def equivalence_p(differences: ArrayLike, margin: float, test_share: float = 0.0) -> float:
    """p of two one-sided tests: small when the mean difference lies within plus or minus a margin (TOST).

    Parameters
    ----------
    differences : array_like, shape (n,)
        One a split.
    margin : float
        What counts as the same, in the units of the differences.
    test_share : float
        As for `corrected_error`; with 0 this is statsmodels' ``ttost_paired``.

    Returns
    -------
    float
        NaN when the tests are undefined.
    """
    values = np.asarray(differences, float)
    if _why_undefined(values):
        return math.nan
    above = corrected_t_test(values + margin, test_share, "greater").p_value
    below = corrected_t_test(values - margin, test_share, "less").p_value
    return max(above, below)


def _why_undefined(values: Floats) -> str:
    if values.size < 2:
        return f"there are {values.size} difference(s), and a variance needs two"
    return "" if np.ptp(values) > 0 else "the differences have no spread"


def probability_better(
    first: ArrayLike, second: ArrayLike, *, resamples: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """Share of splits in which the first model beats the second, P(A > B), a tie counting half.

    Parameters
    ----------
    first, second : array_like, shape (n,)
        Scores on the same splits.
    resamples, seed : int
        Of the percentile bootstrap over the splits.

    Returns
    -------
    share, low, high : float
        With its interval of 95 %; with a handful of splits that is wide and too short all the same.

    Examples
    --------
    >>> probability_better([0.9, 0.8, 0.9, 0.7], [0.8, 0.8, 0.7, 0.6])[0]
    0.875
    """
    values = np.asarray(first, float) - np.asarray(second, float)
    wins = (np.sign(values) + 1) / 2
    return mean_interval(wins, draw_rows(wins.size, resamples, seed))


def mcnemar_test(first: ArrayLike, second: ArrayLike) -> Comparison:
    """Compare two trained models object by object: exact test on the objects that only one of them gets right.

    Parameters
    ----------
    first, second : array_like of bool, shape (n,)
        Whether each model is right.

    Returns
    -------
    Comparison
        Of the accuracies, with the interval of Wald for paired proportions.

    Examples
    --------
    >>> mcnemar_test([True] * 8 + [False] * 2, [True] * 3 + [False] * 7).p_value
    0.0625
    """
    a, b = np.asarray(first, bool), np.asarray(second, bool)
    only_first, only_second = int((a & ~b).sum()), int((~a & b).sum())
    table = [[int((a & b).sum()), only_first], [only_second, int((~a & ~b).sum())]]
    difference = (only_first - only_second) / a.size
    variance = ((only_first + only_second) / a.size - difference**2) / a.size
    half = stats.norm.isf((1 - CONFIDENCE) / 2) * math.sqrt(max(variance, 0))
    return Comparison(difference, difference - half, difference + half, float(mcnemar(table, exact=True).pvalue))


def cochran_test(right: ArrayLike) -> tuple[float, float]:
    """Cochran's Q: whether several models are right equally often on the same objects.

    Parameters
    ----------
    right : array_like of bool, shape (n, k)
        Whether each of k models is right.

    Returns
    -------
    statistic, p_value : float
        NaN when all models are right on the same objects.
    """
    answers = np.asarray(right, int)
    if (answers == answers[:, :1]).all():
        return math.nan, math.nan
    result = cochrans_q(answers)
    return float(result.statistic), float(result.pvalue)


def delong_covariance(labels: ArrayLike, scores: Sequence[ArrayLike]) -> tuple[Floats, Floats]:
    """Areas under the ROC curves of several scores of the same objects, and their covariance.

    By midranks (Sun and Xu 2014, IEEE Signal Processing Letters 21, 1389).

    Parameters
    ----------
    labels : array_like of bool, shape (n,)
        Whether each object is of the wanted class.
    scores : sequence of k array_like, shape (n,)
        Higher for objects of that class.

    Returns
    -------
    areas : ndarray, shape (k,)
    covariance : ndarray, shape (k, k)

    Raises
    ------
    ValueError
        If there are fewer than two objects of the class, or of the others.
    """
    wanted = np.asarray(labels, bool)
    positive, negative = int(wanted.sum()), int((~wanted).sum())
    if min(positive, negative) < 2:
        raise ValueError(f"DeLong's test needs two objects of either kind; there are {positive} and {negative}")
    table = np.asarray(scores, float)
    ranks = stats.rankdata(table, axis=1)
    of_positive = (ranks[:, wanted] - stats.rankdata(table[:, wanted], axis=1)) / negative
    of_negative = 1 - (ranks[:, ~wanted] - stats.rankdata(table[:, ~wanted], axis=1)) / positive
    covariance = np.cov(of_positive) / positive + np.cov(of_negative) / negative
    return of_positive.mean(axis=1), np.atleast_2d(covariance)


def delong_test(labels: ArrayLike, first: ArrayLike, second: ArrayLike) -> Comparison:
    """Compare the areas under two ROC curves of the same objects.

    Parameters
    ----------
    labels, first, second
        As for `delong_covariance`.

    Returns
    -------
    Comparison
        Of the areas.
    """
    areas, covariance = delong_covariance(labels, [first, second])
    difference = float(areas[0] - areas[1])
    contrast = np.array([1, -1])
    error = math.sqrt(max(float(contrast @ covariance @ contrast), 0))
    if error == 0:
        return Comparison(difference, math.nan, math.nan, math.nan, "the curves have no spread")
    half = stats.norm.isf((1 - CONFIDENCE) / 2) * error
    p_value = 2 * stats.norm.sf(abs(difference) / error)
    return Comparison(difference, difference - half, difference + half, float(p_value))


def describe_comparison(comparison: Comparison) -> dict[str, Any]:
    """Lay out a comparison as a row: difference, low, high, p, reason."""
    return {
        "difference": comparison.difference,
        "low": comparison.low,
        "high": comparison.high,
        "p": comparison.p_value,
        "reason": comparison.reason,
    }
