"""Number of objects and repetitions that a test needs to detect a difference."""

import bisect
import math
from collections.abc import Callable, Sequence

import pandas as pd
from scipy import stats

from twostamp.evaluation.bootstrap import LEVEL

POWER = 0.8
"""Share of true differences that should be detected."""


def _count_objects(difference: float, discordant: float) -> int:
    """Count the test objects that McNemar's test needs at a discordant share (Connor 1987, Biometrics 43, 207)."""
    if not 0 < abs(difference) <= discordant <= 1:
        raise ValueError(f"a difference of {difference:g} cannot come from {discordant:g} of discordant objects")
    normal = stats.norm
    reach = normal.isf(LEVEL / 2) * math.sqrt(discordant)
    reach += normal.ppf(POWER) * math.sqrt(discordant - difference**2)
    return math.ceil((reach / difference) ** 2)


def largest_discordance(gain: int, n: int) -> int:
    """Find the largest number of discordant objects at which the exact McNemar test detects a gain; 0 if none.

    Parameters
    ----------
    gain : int
        Number of objects by which the better model gets more right.
    n : int
        Objects in all.

    Examples
    --------
    Five objects won and none lost have p = 0.06, six p = 0.03:

    >>> largest_discordance(5, 100), largest_discordance(6, 100), largest_discordance(7, 500)
    (0, 6, 9)
    """
    possible = range(gain, n + 1, 2)  # besides the gain, as many are won as lost
    visible = [total for total in possible if stats.binomtest((total + gain) // 2, total).pvalue < LEVEL]
    return max(visible, default=0)


def _t_power(shift: float, df: int) -> float:
    """Compute the power of a two-sided t test from its non-centrality; 1 if that is too large for SciPy."""
    limit, student = stats.t.isf(LEVEL / 2, df), stats.nct(df, shift)
    power = float(student.sf(limit) + student.cdf(-limit))
    return 1.0 if math.isnan(power) else power


def _count(power: Callable[[int], float], most: int) -> int | None:
    """Find the smallest number from 2 on that has the power; None if not even the largest has."""
    if power(most) < POWER:
        return None
    return 2 + bisect.bisect_left(range(2, most), POWER, key=power)


def _count_repetitions(difference: float, std: float) -> int:
    """Count the repetitions that Welch's test needs of each model on fixed objects; the accuracy's std has ddof 1."""
    effect = difference / std
    most = math.ceil(2 + 20 / effect**2)  # the normal approximation takes 15.7 / effect^2
    return _count(lambda n: _t_power(effect * math.sqrt(n / 2), 2 * n - 2), most) or most


def _split_power(difference: float, std: float, splits: int, test_share: float) -> float:
    """Compute the power of the corrected t test over splits, from the paired difference's std (ddof 1) in one split."""
    return _t_power(difference / (std * math.sqrt(1 / splits + test_share)), splits - 1)


def _count_splits(difference: float, std: float, test_share: float) -> int | None:
    """Count the repeated splits that the corrected t test needs; None if a thousand are not enough."""
    return _count(lambda n: _split_power(difference, std, n, test_share), 1000)


def make_power_table(
    differences: Sequence[float], *, discordant: float, seed_std: float, split_std: float, test_share: float
) -> pd.DataFrame:
    """Tabulate the sample that detects each difference of accuracy in 80 % of cases at a level of 5 %.

    Parameters
    ----------
    differences : sequence of float
    discordant : float
        Share of objects that only one of two models gets right.
    seed_std, split_std : float
        Standard deviations (ddof 1) of a repetition's accuracy, and of the paired difference in one split. With 0 or
        NaN the sample is undefined.
    test_share : float
        Test objects over training objects. More splits of the same objects do not add objects: the error never falls
        below ``split_std * sqrt(test_share)``.

    Returns
    -------
    DataFrame
        difference; test objects (McNemar); repetitions (Welch, one set of objects); splits (corrected t); as text.
    """
    rows = []
    for difference in differences:
        objects = "unknown" if math.isnan(discordant) else "cannot occur"
        if difference <= discordant:
            objects = f"{_count_objects(difference, discordant)}"
        repetitions = f"{_count_repetitions(difference, seed_std)}" if seed_std > 0 else "unknown"
        splits = "unknown"
        if split_std > 0:
            needed = _count_splits(difference, split_std, test_share)
            splits = f"{needed}" if needed else "no number: more objects"
        rows.append((difference, objects, repetitions, splits))
    return pd.DataFrame(rows, columns=["difference", "test objects", "repetitions", "splits"])
