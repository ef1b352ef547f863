"""Tests between models: over repetitions, over repeated splits, and object by object (decisions T6 and T7)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from statsmodels.stats.contingency_tables import cochrans_q
from statsmodels.stats.multitest import multipletests

from twostamp.evaluation.bootstrap import LEVEL, Estimate
from twostamp.utils.typing import Floats

Alternative = Literal["less", "greater", "two-sided"]
UNKNOWN = Estimate(math.nan, math.nan, math.nan)
TAIL = (1 - (1 - LEVEL)) / 2  # LEVEL / 2 would differ in the last bit from the value in existing tables


@dataclass(frozen=True)
class Comparison:
    """Outcome of a test between models.

    Attributes
    ----------
    p_value, statistic : float
        NaN if the test is undefined.
    difference : Estimate
        First model minus second, if the test estimates it.
    reason : str
        Reason why the test is undefined; empty otherwise.
    """

    p_value: float = math.nan
    statistic: float = math.nan
    difference: Estimate = UNKNOWN
    reason: str = ""

    def to_row(self) -> dict[str, Any]:
        """Return the columns difference, low, high, p, reason."""
        return self.difference.to_row("difference") | {"p": self.p_value, "reason": self.reason}


def welch_test(a: ArrayLike, b: ArrayLike, alternative: Alternative = "less") -> Comparison:
    """Apply Welch's test to two samples.

    Parameters
    ----------
    a, b : array_like, shape (n,) and (m,)
        Samples, for instance the accuracies of a model's repetitions.
    alternative : str
        ``less``: the mean of `a` is less than that of `b`; ``greater``; ``two-sided``.

    Returns
    -------
    Comparison
        NaN with the reason if a sample has fewer than two values or neither has any spread.

    Examples
    --------
    >>> round(welch_test([0.91, 0.92, 0.93], [0.94, 0.95, 0.96]).p_value, 4)
    0.0107
    >>> welch_test([0.9], [0.8, 0.7]).reason
    'a sample has 1 value(s), and a variance needs two'
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    reason = _why_undefined(a.size, b.size, *(float(np.ptp(x)) if x.size else 0 for x in (a, b)))
    if reason:
        return Comparison(reason=reason)
    result = stats.ttest_ind(a, b, equal_var=False, alternative=alternative)
    return Comparison(float(result.pvalue), float(result.statistic))


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
) -> Comparison:
    """Compute Welch's test from the printed mean, standard deviation and size of each sample.

    Parameters
    ----------
    mean_a, std_a, n_a, mean_b, std_b, n_b : float, float, int
    ddof : {0, 1}
        Convention of the standard deviations: population or sample.
    alternative : str
        As for `welch_test`.

    Examples
    --------
    The thesis prints p = 1.668e-5 for M0 against M1; its own rounded numbers give

    >>> f"{welch_from_statistics(0.928, 0.004, 5, 0.950, 0.003, 5, ddof=0).p_value:.3e}"
    '1.742e-05'
    """
    if reason := _why_undefined(n_a, n_b, std_a, std_b):
        return Comparison(reason=reason)
    sample_a, sample_b = (s * math.sqrt((n - ddof) / (n - 1)) for s, n in ((std_a, n_a), (std_b, n_b)))
    result = stats.ttest_ind_from_stats(
        mean_a, sample_a, n_a, mean_b, sample_b, n_b, equal_var=False, alternative=alternative
    )
    return Comparison(float(result.pvalue), float(result.statistic))


def _why_undefined(n_a: int, n_b: int, spread_a: float, spread_b: float) -> str:
    if min(n_a, n_b) < 2:
        return f"a sample has {min(n_a, n_b)} value(s), and a variance needs two"
    return "neither sample has any spread" if spread_a == 0 and spread_b == 0 else ""


def correct_p_values(p_values: ArrayLike) -> Floats:
    """Correct p-values for their number (Holm 1979); NaN of undefined tests stays, and is not counted.

    Examples
    --------
    >>> correct_p_values([0.01, np.nan, 0.03]).tolist()
    [0.02, nan, 0.03]
    """
    corrected = np.array(p_values, float)
    defined = ~np.isnan(corrected)
    if defined.any():
        corrected[defined] = multipletests(corrected[defined], method="holm")[1]
    return corrected


def corrected_t_test(differences: ArrayLike, test_share: float, level: float = LEVEL) -> Comparison:
    """Test whether a mean difference over repeated splits is 0, corrected for objects shared between splits.

    Nadeau and Bengio (2003), equation 14.

    Parameters
    ----------
    differences : array_like, shape (n,)
        Score of one model minus that of the other, one per split.
    test_share : float
        Test objects over training objects; 0 is the ordinary paired t test.
    level : float
        One minus the confidence of the interval. Two one-sided tests (TOST) find two models equivalent within a margin
        exactly if the interval at twice their level lies within it.

    Returns
    -------
    Comparison
        NaN with the reason for fewer than two differences, or if all are equal.
    """
    values = np.asarray(differences, float)
    mean = float(values.mean()) if values.size else math.nan
    if values.size < 2 or np.ptp(values) == 0:
        few = f"there are {values.size} difference(s), and a variance needs two"
        reason = few if values.size < 2 else "the differences have no spread"
        return Comparison(difference=Estimate(mean, math.nan, math.nan), reason=reason)
    error = float(values.std(ddof=1) * math.sqrt(1 / values.size + test_share))
    statistic, student = mean / error, stats.t(values.size - 1)
    p_value = float(2 * student.sf(abs(statistic)))
    return Comparison(p_value, statistic, _interval(mean, error, student.isf(level / 2)))


def _interval(value: float, error: float, quantile: float) -> Estimate:
    return Estimate(value, value - quantile * error, value + quantile * error)


def probability_better(differences: ArrayLike) -> Estimate:
    """Estimate the share of splits in which the first model beats the second, P(A > B); a tie counts half.

    The interval is Clopper and Pearson's, which contains 1 / 2 even for five wins of five.

    Parameters
    ----------
    differences : array_like, shape (n,)
        Score of one model minus that of the other, one per split.

    Examples
    --------
    >>> f"{probability_better([0.1, 0.0, 0.2, 0.1]):.2f}"
    '0.88 (95 %: 0.19 to 1.00)'
    """
    signs = np.sign(np.asarray(differences, float))
    wins, n = float((signs + 1).sum() / 2), signs.size
    low = stats.binomtest(math.floor(wins), n).proportion_ci().low
    return Estimate(wins / n, low, stats.binomtest(math.ceil(wins), n).proportion_ci().high)


def mcnemar_test(first: ArrayLike, second: ArrayLike) -> Comparison:
    """Compare two trained models object by object, with an exact test on the objects that only one gets right.

    Parameters
    ----------
    first, second : array_like of bool, shape (n,)
        Whether each model is right.

    Returns
    -------
    Comparison
        Comparison of the accuracies. The interval is exact given the number of discordant objects (Clopper and
        Pearson), so it excludes 0 if p is below 5 %.

    Examples
    --------
    >>> mcnemar_test([True] * 8 + [False] * 2, [True] * 3 + [False] * 7).p_value
    0.0625
    """
    a, b = np.asarray(first, bool), np.asarray(second, bool)
    only_first, only_second = int((a & ~b).sum()), int((~a & b).sum())
    changed = only_first + only_second
    if not changed:
        return Comparison(1.0, difference=Estimate(0.0, 0.0, 0.0))
    won = stats.binomtest(only_first, changed)
    ends = won.proportion_ci()
    low, high = ((2 * share - 1) * changed / a.size for share in (ends.low, ends.high))
    return Comparison(float(won.pvalue), difference=Estimate((only_first - only_second) / a.size, low, high))


def cochran_test(right: ArrayLike) -> Comparison:
    """Test whether several models are right equally often on the same objects (Cochran's Q).

    Parameters
    ----------
    right : array_like of bool, shape (n, k)
        Whether each of k models is right.
    """
    answers = np.asarray(right, int)
    if (answers == answers[:, :1]).all():
        return Comparison(reason="all are right on the same objects")
    result = cochrans_q(answers)
    return Comparison(float(result.pvalue), float(result.statistic))


def delong_covariance(labels: ArrayLike, scores: Sequence[ArrayLike]) -> tuple[Floats, Floats]:
    """Compute the areas under the ROC curves of several scores of the same objects, and their covariance.

    The method uses midranks (Sun and Xu 2014, IEEE Signal Processing Letters 21, 1389).

    Parameters
    ----------
    labels : array_like of bool, shape (n,)
        Whether each object belongs to the wanted class.
    scores : sequence of k array_like, shape (n,)
        Scores, higher for objects of that class.

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
    """Compare the areas under two ROC curves of the same objects; parameters as for `delong_covariance`."""
    areas, covariance = delong_covariance(labels, [first, second])
    difference, contrast = float(areas[0] - areas[1]), np.array([1, -1])
    error = math.sqrt(max(float(contrast @ covariance @ contrast), 0))
    if error == 0:
        return Comparison(difference=Estimate(difference, math.nan, math.nan), reason="the curves have no spread")
    p_value = 2 * stats.norm.sf(abs(difference) / error)
    return Comparison(float(p_value), difference=_interval(difference, error, stats.norm.isf(TAIL)))
