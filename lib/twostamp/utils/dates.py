"""Julian dates and nights."""

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd


def longest_gap(nights: Iterable[str]) -> int:
    """Longest run of nights without alerts, days (thesis, section 6.11).

    Examples
    --------
    >>> longest_gap(["2018-06-01", "2018-06-02", "2018-06-05"])
    2
    """
    steps = pd.Series(pd.DatetimeIndex(sorted(nights))).diff().dt.days
    return int(steps.max() - 1) if len(steps) > 1 else 0


def night_of(jd: float) -> str:
    """UTC date of a Julian date.

    Examples
    --------
    >>> night_of(2458270.75)
    '2018-06-01'
    """
    return str(np.datetime64(math.floor(jd + 0.5) - 2440588, "D"))
