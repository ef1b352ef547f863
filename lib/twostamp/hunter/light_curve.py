"""Past of an object from its packets: detections, limits, and rise."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from twostamp.alerts.packet import find_candidate
from twostamp.alerts.values import read_isdiffpos

BANDS = {1: "g", 2: "r", 3: "i"}
COLUMNS = ["jd", "band", "mag", "error", "limit", "positive", "programid"]
_FEWEST_DAYS = 0.5
"""Fewest days between exposures for a rise: within a night, noise exceeds any rise."""


def read_light_curve(packets: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Combine the detections and limits of one object's packets, and of the 30 days before each.

    Parameters
    ----------
    packets : sequence of mapping
        Packets from `twostamp.alerts.read_packets`, with history.

    Returns
    -------
    DataFrame
        One row per exposure, sorted by time: jd, band (g, r or i), mag, error, limit (5 sigma), positive, programid.
        ``mag`` and ``error`` are NaN without a detection; ``positive`` is False for a source fainter than in the
        template.
    """
    rows: dict[tuple[float, str], tuple[Any, ...]] = {}
    for packet in packets:
        for entry in (*(packet.get("prv_candidates") or ()), find_candidate(packet)):
            jd, mag, error, limit = (_number(entry.get(name)) for name in ("jd", "magpsf", "sigmapsf", "diffmaglim"))
            band, seen = BANDS.get(entry.get("fid", 0), ""), not math.isnan(mag)
            if seen or ((jd, band) not in rows and not math.isnan(limit)):  # detections before limits
                positive = seen and read_isdiffpos(entry.get("isdiffpos")) != 0
                rows[jd, band] = (jd, band, mag, error, limit, positive, entry.get("programid"))
    return pd.DataFrame([rows[exposure] for exposure in sorted(rows)], columns=COLUMNS)


def find_rise(curve: pd.DataFrame) -> float:
    """Measure how fast an object brightens, in mag/day; NaN if unknown, negative if it fades.

    In each band the rise is measured from the last limit before the first detection, if that limit is fainter; this is
    a lower bound. Otherwise it is measured from the first to the last detection. The fastest band counts.

    Parameters
    ----------
    curve : DataFrame
        Light curve from `read_light_curve`. Detections fainter than the template are left out.

    Examples
    --------
    >>> limit = {"jd": 0.0, "band": "r", "mag": np.nan, "limit": 20.5, "positive": False}
    >>> curve = pd.DataFrame([limit, limit | {"jd": 2.0, "mag": 19.5, "positive": True}])
    >>> find_rise(curve)
    0.5
    """
    rates = []
    days, bands, mags, limits, positive = (
        curve[name].to_numpy() for name in ("jd", "band", "mag", "limit", "positive")
    )
    for band in set(bands):
        detected = np.flatnonzero((bands == band) & positive.astype(bool))
        if not len(detected):
            continue
        first, last = detected[0], detected[-1]
        before = np.flatnonzero((bands == band) & np.isnan(mags) & (days < days[first] - _FEWEST_DAYS))
        if len(before) and limits[before[-1]] > mags[first]:
            rates.append((limits[before[-1]] - mags[first]) / (days[first] - days[before[-1]]))
        elif days[last] - days[first] > _FEWEST_DAYS:
            rates.append((mags[first] - mags[last]) / (days[last] - days[first]))
    return float(max(rates, default=np.nan))


def last_limit(curve: pd.DataFrame) -> "pd.Series[Any] | None":
    """Find the last exposure without a detection before the first detection; None if there is none."""
    detected = curve[curve["mag"].notna()]
    if detected.empty:
        return None
    before = curve[curve["mag"].isna() & (curve["jd"] < detected["jd"].iloc[0])]
    return None if before.empty else before.iloc[-1]


def _number(value: Any) -> float:
    """Read a number; NaN for none, and for ZTF's sentinel (-999)."""
    number = math.nan if value is None else float(value)
    return number if -99 < number < math.inf else math.nan
