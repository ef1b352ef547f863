"""Ranges of features in a training set, and features of a night that often lie outside them."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from twostamp.data.feature_lists import ALL_FEATURES, FEATURE_LISTS
from twostamp.data.features import compute_features
from twostamp.utils.typing import Floats, Floats32

FEATURE_RANGE = "feature_range"
"""Entry of a classifier's card with the ranges of its training set."""
_TAIL = 0.001
_LARGE_SHARE = 0.2


def measure_ranges(table: pd.DataFrame, features: str) -> dict[str, tuple[float, float]]:
    """Measure the range of each feature of the first alerts, without a thousandth at either end.

    Parameters
    ----------
    table : DataFrame
        Table for `twostamp.data.features.compute_features`.
    features : str
        Name of a list in `FEATURE_LISTS`.
    """
    values = _read_features(table, FEATURE_LISTS[features])
    low, high = np.nanquantile(values, [_TAIL, 1 - _TAIL], axis=0)
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(FEATURE_LISTS[features])}


def find_unusual_features(ranges: Mapping[str, Sequence[float]], table: pd.DataFrame) -> dict[str, float]:
    """Find features of first alerts that often lie outside a classifier's training range.

    Parameters
    ----------
    ranges : mapping
        Ranges from `measure_ranges`; without any the result is empty.
    table : DataFrame
        Table for `twostamp.data.features.compute_features`.

    Returns
    -------
    dict of str to float
        Share of alerts outside the range, by feature, largest first; only shares above a fifth.
    """
    if not ranges or table.empty:
        return {}
    values = _read_features(table, tuple(ranges))
    low, high = np.array(list(ranges.values())).T
    shares = dict(zip(ranges, ((values < low) | (values > high)).mean(axis=0).tolist(), strict=True))
    return {name: share for name, share in sorted(shares.items(), key=lambda item: -item[1]) if share > _LARGE_SHARE}


def rank_in_training(values: Floats, training: Floats32) -> Floats:
    """Compute the percentage of a training set with a lower value of each feature; ties count half.

    Parameters
    ----------
    values : ndarray, shape (f,)
        Features of one alert.
    training : ndarray, shape (n, f)
        Features of the training set.

    Returns
    -------
    ndarray, shape (f,)
        Percentages, 0 to 100; NaN without a value.

    Examples
    --------
    >>> rank_in_training(np.array([2.0, np.nan]), np.array([[1, 5], [2, 5], [3, 5], [np.nan, 5]], np.float32))
    array([50., nan])
    """
    known = np.maximum(np.isfinite(training).sum(axis=0), 1)
    below, same = (training < values).sum(axis=0), (training == values).sum(axis=0)
    return np.where(np.isfinite(values), 100 * (below + same / 2) / known, np.nan)


def _read_features(table: pd.DataFrame, names: Sequence[str]) -> Floats32:
    return compute_features(table, 1)[:, [ALL_FEATURES.index(name) for name in names]]
