"""Welch's test between models (thesis sections 6.4 and 6.5; decisions T6 and T7)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats
from statsmodels.stats.multitest import multipletests

Alternative = Literal["less", "greater", "two-sided"]

LEVEL = 0.05
"""Significance level of section 6.4."""

PAIRS = (("M0", "M1"), ("M0", "M2"), ("M2", "M1"))
"""Comparisons of Table 6.4, the model said to be worse first. The thesis names no side for M1 against M2; it is the
one-sided "M2 is worse than M1" that comes near its p (T6)."""

THESIS_REPETITIONS = 5

THESIS_ACCURACY = {
    "M0": {"validation": (0.928, 0.004), "test": (0.923, 0.005)},
    "M1": {"validation": (0.950, 0.003), "test": (0.937, 0.003)},
    "M2": {"validation": (0.946, 0.001), "test": (0.932, 0.006)},
}
"""Mean and standard deviation of the accuracies that Table 6.4 prints."""

THESIS_P = {("M0", "M1"): 1.668e-5, ("M0", "M2"): 1.817e-4, ("M2", "M1"): 2.749e-2}
"""Values of p that Table 6.4 prints (validation set)."""


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


def make_thesis_table() -> pd.DataFrame:
    """Recompute the thesis's tests from the means and deviations that it prints (T6, T7).

    Returns
    -------
    DataFrame
        One row per comparison and set: comparison, set, printed (the thesis's p; NaN for the test set, which it does
        not compare), then p one- and two-sided with either ddof.
    """
    rows = []
    for name in ("validation", "test"):
        for a, b in PAIRS:
            row: dict[str, object] = {"comparison": f"{a} < {b}", "set": name}
            row["printed"] = THESIS_P[a, b] if name == "validation" else math.nan
            samples = [(*THESIS_ACCURACY[model][name], THESIS_REPETITIONS) for model in (a, b)]
            for sides, alternative in (("one", "less"), ("two", "two-sided")):
                for ddof in (0, 1):
                    result = welch_from_statistics(*samples[0], *samples[1], ddof=ddof, alternative=alternative)  # type: ignore[arg-type]
                    row[f"{sides}-sided, ddof {ddof}"] = result.p_value
            rows.append(row)
    return pd.DataFrame(rows)


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
