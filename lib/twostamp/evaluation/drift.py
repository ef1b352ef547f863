"""Population-stability index, and an alarm that keeps its promise over all features and batches of a survey.

The index compares the shares of a batch in the quantile bins of a reference: sum of (p - q) ln(p / q), the Jeffreys
divergence of the binned distributions (Siddiqi 2006). Its customary limits of 0.1 and 0.25 know nothing of the batch's
size (Yurdakul 2018), nor of how many features are watched for how long, so the alarm's limits are simulated.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from twostamp.evaluation.bootstrap import LEVEL
from twostamp.utils.typing import Bools, Floats, Ints

_BINS = 10
_PSEUDOCOUNT = 0.5
"""Added to every bin that either side has something in, so that an empty one is not infinitely unlikely (Jeffreys)."""
_CONFIDENCE = 0.9
_MINIMUM_BATCHES = 3


def psi(reference: ArrayLike, batch: ArrayLike) -> Floats:
    """Population-stability index of counts in the same bins: 0 for equal counts, symmetric, never negative.

    Parameters
    ----------
    reference, batch : array_like, shapes (..., bins)
        Counts, 0 or more; the shapes broadcast. A bin that is empty on both sides does not count.

    Returns
    -------
    ndarray, shape (...)

    Examples
    --------
    >>> float(psi([50, 50], [50, 50])), float(psi([90, 10], [10, 90]).round(2))
    (0.0, 3.41)
    """
    counts = np.broadcast_arrays(np.asarray(reference, float), np.asarray(batch, float))
    used = (counts[0] > 0) | (counts[1] > 0)
    smooth = [np.where(used, side + _PSEUDOCOUNT, 0.0) for side in counts]
    shares = [np.where(used, side / np.maximum(side.sum(-1, keepdims=True), _PSEUDOCOUNT), 1.0) for side in smooth]
    return np.asarray(((shares[0] - shares[1]) * np.log(shares[0] / shares[1])).sum(-1))


def _find_edges(reference: Floats) -> list[Floats]:
    """Inner edges of each feature's quantile bins, NaN left out; fewer where many values are equal."""
    levels = np.arange(1, _BINS) / _BINS
    columns = (column[~np.isnan(column)] for column in reference.T)
    return [
        np.unique(np.quantile(column, levels, method="inverted_cdf")) if column.size else np.empty(0)
        for column in columns
    ]


def count_bins(features: ArrayLike, batch: ArrayLike, n_batches: int, n_reference: int) -> Ints:
    """Count the values of each batch in the quantile bins that each feature has in the reference.

    Parameters
    ----------
    features : array_like, shape (n, p)
    batch : array_like of int, shape (n,)
        From 0; rows with -1 are left out.
    n_batches : int
    n_reference : int
        The reference is the first so many batches.

    Returns
    -------
    ndarray, shape (n_batches, p, bins + 1), int64
        A bin holds what is above its lower and not above its upper edge, the last one NaN.
    """
    features, batch = np.asarray(features, float), np.asarray(batch)
    edges = _find_edges(features[(batch >= 0) & (batch < n_reference)])
    width = max((len(column) for column in edges), default=0) + 2
    counts = np.zeros((n_batches, features.shape[1], width), np.int64)
    kept = batch >= 0
    for i, column in enumerate(edges):
        values = features[kept, i]
        place = np.where(np.isnan(values), width - 1, np.searchsorted(column, values, side="left"))
        counts[:, i] = np.bincount(batch[kept] * width + place, minlength=n_batches * width).reshape(n_batches, width)
    return counts


def measure_psi(counts: Ints, n_reference: int) -> Floats:
    """Index of every feature and later batch against the reference.

    Parameters
    ----------
    counts : ndarray, shape (n_batches, p, bins)
        Of `count_bins`.
    n_reference : int

    Returns
    -------
    ndarray, shape (n_batches - n_reference, p)
        NaN for a batch without objects.
    """
    later = counts[n_reference:]
    return np.where(later.sum(axis=2) > 0, psi(counts[:n_reference].sum(axis=0), later), np.nan)


@dataclass(frozen=True)
class StationaryModel:
    """A survey that does not drift, fitted to a reference: a Gaussian copula with an effect of each batch.

    Features keep their distribution and their correlations; batches differ by weather and moon as those of the
    reference do, each feature by itself. A trend through the reference is drift already and no part of that.

    Attributes
    ----------
    values : ndarray, shape (n, p)
        Sorted features of the reference.
    root : ndarray, shape (p, p)
        Of the covariance of the normal scores within batches.
    spread : ndarray, shape (p,)
        Standard deviation of the batches' effects on the normal scores.
    """

    values: Floats
    root: Floats
    spread: Floats

    @classmethod
    def fit(cls, features: ArrayLike, batch: ArrayLike) -> "StationaryModel":
        """Fit to a reference: features, shape (n, p), without NaN, and the batch of each row, three or more in time."""
        features = np.asarray(features, float)
        groups, place = np.unique(np.asarray(batch), return_inverse=True)
        if len(groups) < _MINIMUM_BATCHES:
            raise ValueError(
                f"a reference of {len(groups)} batches does not show how batches differ: "
                f"give {_MINIMUM_BATCHES} or more"
            )
        scores = stats.norm.ppf((stats.rankdata(features, axis=0) - 0.5) / len(features))
        sizes = np.bincount(place)
        means = np.stack([np.bincount(place, weights=column) / sizes for column in scores.T], axis=1)
        rest = scores - means[place]
        within = (rest**2).sum(axis=0) / (len(scores) - len(groups))
        between = _measure_spread_about_trend(means, groups, sizes)
        size = (sizes.sum() - (sizes**2).sum() / sizes.sum()) / (len(groups) - 1)
        root = _square_root(rest.T @ rest / (len(scores) - len(groups)))
        return cls(np.sort(features, axis=0), root, np.sqrt(np.clip((between - within) / size, 0, None)))

    def draw(self, sizes: Sequence[int], rng: np.random.Generator) -> tuple[Floats, Ints]:
        """Simulate a stationary survey with batches of given sizes: its features, and the batch of each row."""
        batch = np.repeat(np.arange(len(sizes)), sizes)
        scores = rng.standard_normal((len(batch), len(self.spread))) @ self.root
        scores += (rng.standard_normal((len(sizes), len(self.spread))) * self.spread)[batch]
        scores /= np.sqrt((self.root**2).sum(axis=0) + self.spread**2 + 1e-12)
        rank = np.clip((stats.norm.cdf(scores) * len(self.values)).astype(int), 0, len(self.values) - 1)
        return np.take_along_axis(self.values, rank, axis=0), batch


def _measure_spread_about_trend(means: Floats, groups: Ints, sizes: Ints) -> Floats:
    """Mean square of batch means about their straight line in time, weighted by batch size."""
    weights = np.sqrt(sizes)[:, None]
    line = weights * np.stack([np.ones(len(groups)), groups], axis=1)
    residual = weights * means - line @ np.linalg.lstsq(line, weights * means)[0]
    return np.asarray((residual**2).sum(axis=0) / (len(groups) - 2))


def _square_root(covariance: Floats) -> Floats:
    """Symmetric square root of a covariance matrix."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T)


@dataclass(frozen=True)
class Alarm:
    """Rings in the first batch in which the index of any feature is above its limit.

    Attributes
    ----------
    names : tuple of str
    limits : ndarray, shape (batches after the reference, p)
        Those of a batch know its size.
    n_reference : int
        Batches of the reference.
    """

    names: tuple[str, ...]
    limits: Floats
    n_reference: int

    def excess(self, index: ArrayLike) -> Floats:
        """Largest index over its limit, of indices of shape (..., batches, p); an empty batch has 0."""
        return np.asarray(np.nan_to_num(np.asarray(index) / self.limits).max(axis=-1))

    def first(self, index: ArrayLike) -> Ints:
        """First batch (from 0) that rings, -1 for none, of indices of shape (..., batches, p)."""
        rings = self.excess(index) > 1
        return np.where(rings.any(axis=-1), rings.argmax(axis=-1), -1)


def _simulate_indices(
    model: StationaryModel, sizes: Sequence[int], n_reference: int, surveys: int, seed: Sequence[int]
) -> Floats:
    """Indices of stationary surveys, shape (surveys, batches - n_reference, p)."""
    rng = np.random.default_rng(seed)
    drawn = (model.draw(sizes, rng) for _ in range(surveys))
    return np.stack([measure_psi(count_bins(*survey, len(sizes), n_reference), n_reference) for survey in drawn])


def calibrate_alarm(
    model: StationaryModel, sizes: Sequence[int], n_reference: int, names: Sequence[str], *, surveys: int, seed: int
) -> Alarm:
    """Set the limits so that at most 5 % of stationary surveys ring at all, whichever the feature and the batch.

    Each index is measured in units of the 95 % quantile of its own feature and batch. One factor on all of them, from
    surveys of its own, makes the promise: the order statistic that bounds the 95 % quantile of the surveys' maxima from
    above with 90 % confidence, or the largest of too few surveys.

    Parameters
    ----------
    model : StationaryModel
    sizes : sequence of int
        Objects of each batch of the survey to watch, the reference first.
    n_reference : int
    names : sequence of str
        Of the features.
    surveys : int
        To simulate.
    seed : int
    """
    unit, index = (_simulate_indices(model, sizes, n_reference, surveys, [seed, part]) for part in (0, 1))
    unit = np.quantile(np.nan_to_num(unit), 1 - LEVEL, axis=0)
    unit = np.where(unit > 0, unit, np.inf)
    largest = np.sort(np.nan_to_num(index / unit).max(axis=(1, 2)))
    place = min(int(stats.binom.ppf(_CONFIDENCE, surveys, 1 - LEVEL)), surveys - 1)
    return Alarm(tuple(names), unit * largest[place], n_reference)


def check_alarm(alarm: Alarm, model: StationaryModel, sizes: Sequence[int], *, surveys: int, seed: int) -> pd.DataFrame:
    """Count false alarms in stationary surveys that the calibration has not seen, as `count_false_alarms` does."""
    index = _simulate_indices(model, sizes, alarm.n_reference, surveys, [seed, 2])
    return count_false_alarms(list(alarm.excess(index) > 1))


def count_false_alarms(rings: Sequence[Bools]) -> pd.DataFrame:
    """Count the alarms in stationary surveys.

    Parameters
    ----------
    rings : sequence of ndarray of bool, shape (batches,)
        Which batches ring, survey by survey.

    Returns
    -------
    DataFrame
        what (surveys that ring at all; batches that ring), n, alarms, share, low, high (exact 95 %).
    """
    rows = []
    for what, alarms in (("surveys", np.array([any(survey) for survey in rings])), ("batches", np.concatenate(rings))):
        interval = stats.binomtest(int(alarms.sum()), alarms.size).proportion_ci()
        rows.append((what, alarms.size, int(alarms.sum()), float(alarms.mean()), interval.low, interval.high))
    return pd.DataFrame(rows, columns=["what", "n", "alarms", "share", "low", "high"])
