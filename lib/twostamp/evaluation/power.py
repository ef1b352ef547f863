"""How many objects and repetitions a difference needs before a test can see it."""

import bisect
import math
from collections.abc import Callable, Sequence

import pandas as pd
from scipy import stats

from twostamp.evaluation.bootstrap import LEVEL

POWER = 0.8
"""Share of true differences that should be found."""


def _count_objects(difference: float, discordant: float) -> int:
    """Test objects that McNemar's test needs, given the discordant share (Connor 1987, Biometrics 43, 207)."""
    if not 0 < abs(difference) <= discordant <= 1:
        raise ValueError(f"a difference of {difference:g} cannot come from {discordant:g} of discordant objects")
    normal = stats.norm
    reach = normal.isf(LEVEL / 2) * math.sqrt(discordant)
    reach += normal.ppf(POWER) * math.sqrt(discordant - difference**2)
    return math.ceil((reach / difference) ** 2)


def largest_discordance(gain: int, n: int) -> int:
    """Most objects that only one of two models may get right for the exact McNemar test to see a gain; 0 if none do.

    Parameters
    ----------
    gain : int
        Objects that the better model gets right more.
    n : int
        Objects in all.

    Examples
    --------
    Five objects won and none lost have p = 0.06, six p = 0.03:

    >>> largest_discordance(5, 100), largest_discordance(6, 100), largest_discordance(7, 500)
    (0, 6, 9)
    """
    possible = range(gain, n + 1, 2)  # as many won as lost, besides the gain
    visible = [total for total in possible if stats.binomtest((total + gain) // 2, total).pvalue < LEVEL]
    return max(visible, default=0)


def _t_power(shift: float, df: int) -> float:
    """Power of a two-sided t test whose statistic has a non-centrality; 1 where SciPy finds it too large to say."""
    limit, student = stats.t.isf(LEVEL / 2, df), stats.nct(df, shift)
    power = float(student.sf(limit) + student.cdf(-limit))
    return 1.0 if math.isnan(power) else power


def _count(power: Callable[[int], float], most: int) -> int | None:
    """Least number from 2 on that has the power; None if not even the largest has."""
    if power(most) < POWER:
        return None
    return 2 + bisect.bisect_left(range(2, most), POWER, key=power)


def _count_repetitions(difference: float, std: float) -> int:
    """Repetitions of each model that Welch's test needs on fixed objects, of an accuracy with a std of ddof 1."""
    effect = difference / std
    most = math.ceil(2 + 20 / effect**2)  # the normal approximation takes 15.7 / effect^2
    return _count(lambda n: _t_power(effect * math.sqrt(n / 2), 2 * n - 2), most) or most


def _split_power(difference: float, std: float, splits: int, test_share: float) -> float:
    """Power of the corrected t test over splits, of a paired difference with a std of ddof 1 in one split."""
    return _t_power(difference / (std * math.sqrt(1 / splits + test_share)), splits - 1)


def _count_splits(difference: float, std: float, test_share: float) -> int | None:
    """Repeated splits that the corrected t test needs; None if not even a thousand are enough."""
    return _count(lambda n: _split_power(difference, std, n, test_share), 1000)


def make_power_table(
    differences: Sequence[float], *, discordant: float, seed_std: float, split_std: float, test_share: float
) -> pd.DataFrame:
    """What each difference of accuracy needs to be found in 80 % of the cases at a level of 5 %.

    Parameters
    ----------
    differences : sequence of float
    discordant : float
        Share of objects that only one of two models gets right.
    seed_std, split_std : float
        Standard deviations (ddof 1) of a repetition's accuracy, and of the paired difference in one split; where 0 or
        NaN nothing can be said.
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
