"""Julian dates and nights."""

import math
import time
from collections.abc import Iterable
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

MJD = 2400000.5
"""Julian date at which modified Julian dates begin."""
_JD_1970 = 2440587.5


def longest_gap(nights: Iterable[str]) -> int:
    """Find the longest run of nights without alerts, days (thesis, section 6.11).

    Examples
    --------
    >>> longest_gap(["2018-06-01", "2018-06-02", "2018-06-05"])
    2
    """
    steps = pd.Series(pd.DatetimeIndex(sorted(nights))).diff().dt.days
    return int(steps.max() - 1) if len(steps) > 1 else 0


def night_of(jd: float) -> str:
    """Convert a Julian date to a UTC date.

    Examples
    --------
    >>> night_of(2458270.75)
    '2018-06-01'
    """
    return str(np.datetime64(math.floor(jd - _JD_1970), "D"))


def julian_midnight(day: date) -> float:
    """Return the Julian date of 0 h UTC.

    Examples
    --------
    >>> julian_midnight(date(2018, 6, 1))
    2458270.5
    """
    return day.toordinal() - date(1970, 1, 1).toordinal() + _JD_1970


def julian_now() -> float:
    """Return the current Julian date."""
    return time.time() / 86_400 + _JD_1970


def to_timestamps(jd: "pd.Series[Any]") -> "pd.Series[Any]":
    """Convert a column of Julian dates to UTC timestamps.

    Examples
    --------
    >>> to_timestamps(pd.Series([2458270.75]))[0]
    Timestamp('2018-06-01 06:00:00')
    """
    return pd.to_datetime(jd - _JD_1970, unit="D")
