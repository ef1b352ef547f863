"""Welch's test between models (thesis sections 6.4 and 6.5; decisions T6 and T7)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from statsmodels.stats.contingency_tables import cochrans_q, mcnemar
from statsmodels.stats.multitest import multipletests

from twostamp.evaluation.bootstrap import LEVEL, draw_rows, mean_interval

Alternative = Literal["less", "greater", "two-sided"]


@dataclass(frozen=True)
class WelchResult:
    """Outcome of Welch's test.

    Attributes
    ----------
    statistic, p_value : float
        NaN when the test is undefined.
    reason : str
        Why it is undefined; empty when it is not.
    """

    statistic: float
    p_value: float
    reason: str = ""


def _why_undefined(n_a: int, n_b: int, std_a: float, std_b: float) -> str:
    if min(n_a, n_b) < 2:
        return f"a sample has {min(n_a, n_b)} value(s), and a variance needs two"
    if std_a == 0 and std_b == 0:
        return "neither sample has any spread"
    return ""


def welch_test(a: ArrayLike, b: ArrayLike, alternative: Alternative = "less") -> WelchResult:
    """Welch's test on two samples.

    Parameters
    ----------
    a, b : array_like, shape (n,) and (m,)
        For instance the accuracies of a model's repetitions.
    alternative : str
        ``less``: the mean of `a` is less than that of `b`; ``greater``; ``two-sided``.

    Returns
    -------
    WelchResult
        NaN with the reason when a sample has fewer than two values or neither has any spread.

    Examples
    --------
    >>> round(welch_test([0.91, 0.92, 0.93], [0.94, 0.95, 0.96]).p_value, 4)
    0.0107
    >>> welch_test([0.9], [0.8, 0.7]).reason
    'a sample has 1 value(s), and a variance needs two'
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    reason = _why_undefined(a.size, b.size, float(np.ptp(a)) if a.size else 0, float(np.ptp(b)) if b.size else 0)
    if reason:
        return WelchResult(math.nan, math.nan, reason)
    result = stats.ttest_ind(a, b, equal_var=False, alternative=alternative)
    return WelchResult(float(result.statistic), float(result.pvalue))


def welch_from_statistics(
    mean_a: float,
    std_a: float,
    n_a: int,
    mean_b: float,
    std_b: float,
    n_b: int,
    *,
    ddof: Literal[0, 1],
    alternative: Alternative = "less",
) -> WelchResult:
    """Welch's test from printed means and standard deviations.

    Parameters
    ----------
    mean_a, std_a, n_a, mean_b, std_b, n_b : float, float, int
        Mean, standard deviation and size of each sample.
    ddof : {0, 1}
        Convention of the standard deviations: of the population or of the sample.
    alternative : str
        As for `welch_test`.

    Returns
    -------
    WelchResult

    Examples
    --------
    The thesis prints p = 1.668e-5 for M0 against M1; its own rounded numbers give

    >>> f"{welch_from_statistics(0.928, 0.004, 5, 0.950, 0.003, 5, ddof=0).p_value:.3e}"
    '1.742e-05'
    """
    reason = _why_undefined(n_a, n_b, std_a, std_b)
    if reason:
        return WelchResult(math.nan, math.nan, reason)
    sample_a, sample_b = (s * math.sqrt((n - ddof) / (n - 1)) for s, n in ((std_a, n_a), (std_b, n_b)))
    result = stats.ttest_ind_from_stats(
        mean_a, sample_a, n_a, mean_b, sample_b, n_b, equal_var=False, alternative=alternative
    )
    return WelchResult(float(result.statistic), float(result.pvalue))


def compare_models(samples: Mapping[str, ArrayLike], pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Welch's test for several pairs of models, one-sided as in the thesis and two-sided as a stricter reader would.

    Parameters
    ----------
    samples : mapping of str to array_like, shape (n,)
        Accuracies of each model's repetitions.
    pairs : sequence of (str, str)
        Models to compare, the one said to be worse first; a pair with a model that has no sample is left out.

    Returns
    -------
    DataFrame
        One row a pair: comparison, n, difference (mean of the second minus mean of the first), one-sided p,
        two-sided p, the two-sided p corrected for the number of pairs (Holm), and reason when p is undefined.

    Examples
    --------
    >>> table = compare_models({"M0": [0.91, 0.92, 0.93], "M1": [0.94, 0.95, 0.96]}, [("M0", "M1"), ("M0", "M2")])
    >>> table[["comparison", "n", "one-sided p"]].round(4).to_dict("records")
    [{'comparison': 'M0 < M1', 'n': '3, 3', 'one-sided p': 0.0107}]
    """
    rows = []
    for a, b in pairs:
        if a not in samples or b not in samples:
            continue
        x, y = np.asarray(samples[a], float), np.asarray(samples[b], float)
        one, two = welch_test(x, y, "less"), welch_test(x, y, "two-sided")
        difference = float(y.mean() - x.mean())
        rows.append((f"{a} < {b}", f"{x.size}, {y.size}", difference, one.p_value, two.p_value, two.reason))
    columns = ["comparison", "n", "difference", "one-sided p", "two-sided p", "reason"]
    table = pd.DataFrame(rows, columns=columns)
    corrected = pd.Series(math.nan, index=table.index)
    defined = table["two-sided p"].notna()
    if defined.any():
        corrected[defined] = multipletests(table.loc[defined, "two-sided p"], method="holm")[1]
    table.insert(5, "two-sided p, Holm", corrected)
    return table


def describe_p(p_value: float, reason: str = "", level: float = LEVEL) -> str:
    """Say in words what a p says at a level.

    Examples
    --------
    >>> describe_p(1.7e-5)
    'significant at 0.05 (p = 1.7e-05)'
    >>> describe_p(float("nan"), "neither sample has any spread")
    'undefined: neither sample has any spread'
    """
    if math.isnan(p_value):
        return f"undefined: {reason}"
    return f"{'significant' if p_value < level else 'not significant'} at {level} (p = {p_value:.2g})"


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
    if reason := _why_undefined_differences(values):
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
    if _why_undefined_differences(values):
        return math.nan
    above = corrected_t_test(values + margin, test_share, "greater").p_value
    below = corrected_t_test(values - margin, test_share, "less").p_value
    return max(above, below)


def _why_undefined_differences(values: Floats) -> str:
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
