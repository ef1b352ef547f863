"""Valid values of an alert: one rule for the extraction and for prediction."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from twostamp.alerts.avro import CorruptPacket, PacketError

NEVER_NULL = ("jd", "ra", "dec", "isdiffpos")
"""Fields of ``candidate`` without which an alert cannot be used."""
MEANT = (*NEVER_NULL, "magpsf", "sigmapsf")
"""Fields of ``candidate`` whose values must be valid; any other may be missing."""
RANGES = {
    "jd": (2_400_000.0, 2_500_000.0),  # 1858 to 2132; excludes modified Julian dates, and seconds
    "ra": (0.0, 360.0),
    "dec": (-90.0, 90.0),
    "magpsf": (-90.0, 90.0),  # other software writes -999 or 99 for none
    "sigmapsf": (0.0, 90.0),
}
_WHAT = {"jd": "no Julian date of this era", "ra": "no position on the sky", "dec": "no position on the sky"}
_IS_POSITIVE = {"t": 1.0, "true": 1.0, "1": 1.0, "1.0": 1.0, "f": 0.0, "false": 0.0, "0": 0.0, "0.0": 0.0}


class MissingField(PacketError):  # noqa: N818
    """A required field is absent or null; the reason names it."""


def is_missing(value: Any) -> bool:
    """Whether a field has no value: None, or its form in pandas and NumPy."""
    return value is None or value is pd.NA or value is np.ma.masked


def read_number(name: str, value: Any) -> float:
    """Read a number of any unambiguous type, including text; NaN if the value `is_missing`.

    Raises
    ------
    CorruptPacket
        The value is no number; the message has its `name`.

    Examples
    --------
    >>> read_number("fid", "2"), read_number("rb", None)
    (2.0, nan)
    """
    if type(value) is float:
        return value
    if is_missing(value):
        return math.nan
    try:
        if isinstance(value, bool | np.bool_ | bytes):
            raise TypeError
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise CorruptPacket(f"{name} is {_show(value)}, which is no number") from None


def read_isdiffpos(value: Any) -> float:
    """Read whether science minus template is positive, in any spelling of ZTF and its brokers: 1, 0, or NaN if missing.

    Raises
    ------
    CorruptPacket
        The value is neither positive nor negative.

    Examples
    --------
    >>> [read_isdiffpos(value) for value in ("t", "F", "true", 0, True)]
    [1.0, 0.0, 1.0, 0.0, 1.0]
    """
    if is_missing(value):
        return math.nan
    try:
        return _IS_POSITIVE[(value.decode() if isinstance(value, bytes) else str(value)).strip().lower()]
    except (KeyError, UnicodeDecodeError):
        raise CorruptPacket(f"isdiffpos is {_show(value)}, which is neither positive nor negative") from None


def check_values(candidate: Mapping[str, Any], names: Iterable[str] = MEANT) -> dict[str, float]:
    """Read the values that must be valid for an alert to be used.

    Parameters
    ----------
    candidate : mapping
        Fields of the packet's ``candidate``.
    names : iterable of str
        Fields to check, of `MEANT`. A magnitude may be missing, the others may not.

    Returns
    -------
    dict
        Name -> number; days, degrees and magnitudes. NaN for a magnitude that is missing.

    Raises
    ------
    MissingField, CorruptPacket
        A value is missing, not finite or out of range.

    Examples
    --------
    >>> check_values({"ra": 400.0}, ["ra"])
    Traceback (most recent call last):
    twostamp.alerts.avro.CorruptPacket: ra is 400, which is no position on the sky
    """
    values = {}
    for name in names:
        value = candidate.get(name)
        if (missing := is_missing(value)) and name in NEVER_NULL:
            raise MissingField(f"the packet has no candidate.{name}")
        number = values[name] = read_isdiffpos(value) if name == "isdiffpos" else read_number(name, value)
        low, high = RANGES.get(name, (-math.inf, math.inf))
        if not missing and not low <= number <= high:
            raise CorruptPacket(f"{name} is {number:g}, which is {_WHAT.get(name, 'no magnitude')}")
    return values


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 40 else f"{text[:36]}..."
