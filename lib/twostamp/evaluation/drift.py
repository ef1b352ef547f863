"""Population-stability index, and an alarm that keeps its promise over all features and batches of a survey.

The index compares the shares of a batch in the quantile bins of a reference: sum of (p - q) ln(p / q), the Jeffreys
divergence of the binned distributions (Siddiqi 2006). Its customary limits of 0.1 and 0.25 know nothing of the batch's
size (Yurdakul 2018), nor of how many features are watched for how long, so the alarm's limits are simulated.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Floats = NDArray[np.float64]
Edges = list[Floats]

BINS = 10
PSEUDOCOUNT = 0.5
"""Added to every bin that either side has something in, so that an empty one is not infinitely unlikely (Jeffreys)."""
LEVEL = 0.05
CONFIDENCE = 0.9
MINIMUM_BATCHES = 3


def psi(reference: ArrayLike, batch: ArrayLike) -> Floats:
    """Population-stability index of counts in the same bins.

    Parameters
    ----------
    reference, batch : array_like, shapes (..., bins)
        Counts, 0 or more; the shapes broadcast. A bin that is empty on both sides does not count.

    Returns
    -------
    ndarray, shape (...)
        0 for equal counts, symmetric, never negative.

    Examples
    --------
    >>> float(psi([50, 50], [50, 50])), float(psi([90, 10], [10, 90]).round(2))
    (0.0, 3.41)
    """
    counts = np.broadcast_arrays(np.asarray(reference, float), np.asarray(batch, float))
    used = (counts[0] > 0) | (counts[1] > 0)
    smooth = [np.where(used, side + PSEUDOCOUNT, 0.0) for side in counts]
    shares = [np.where(used, side / np.maximum(side.sum(-1, keepdims=True), PSEUDOCOUNT), 1.0) for side in smooth]
    return np.asarray(((shares[0] - shares[1]) * np.log(shares[0] / shares[1])).sum(-1))


def find_edges(reference: ArrayLike, bins: int = BINS) -> Edges:
    """Inner edges of the quantile bins of each feature, fewer where many values are equal.

    Parameters
    ----------
    reference : array_like, shape (n, p)
        NaN is left out (`count_bins` has a bin for it).
    bins : int

    Returns
    -------
    list of ndarray

    Examples
    --------
    >>> [edges.tolist() for edges in find_edges([[0, 1.0], [0, 2], [1, 3], [1, 4]], bins=2)]
    [[0.0], [2.0]]
    """
    levels = np.arange(1, bins) / bins
    columns = (column[~np.isnan(column)] for column in np.asarray(reference, float).T)
    return [
        np.unique(np.quantile(column, levels, method="inverted_cdf")) if column.size else np.empty(0)
        for column in columns
    ]


def count_bins(features: ArrayLike, edges: Edges, batch: ArrayLike, n_batches: int) -> NDArray[np.int64]:
    """Count the values of each batch in each feature's bins.

    Parameters
    ----------
    features : array_like, shape (n, p)
    edges : list of ndarray
        Of `find_edges`; a bin holds what is above its lower and not above its upper edge, the last one NaN.
    batch : array_like of int, shape (n,)
        From 0; rows with -1 are left out.
    n_batches : int

    Returns
    -------
    ndarray, shape (n_batches, p, bins + 1), int64
    """
    features, batch = np.asarray(features, float), np.asarray(batch)
    width = max((len(column) for column in edges), default=0) + 2
    counts = np.zeros((n_batches, features.shape[1], width), np.int64)
    kept = batch >= 0
    for i, column in enumerate(edges):
        values = features[kept, i]
        place = np.where(np.isnan(values), width - 1, np.searchsorted(column, values, side="left"))
        counts[:, i] = np.bincount(batch[kept] * width + place, minlength=n_batches * width).reshape(n_batches, width)
    return counts


def measure_psi(features: ArrayLike, batch: ArrayLike, n_batches: int, n_reference: int, bins: int = BINS) -> Floats:
    """Index of every feature and batch against the first batches taken together.

    Parameters
    ----------
    features : array_like, shape (n, p)
    batch : array_like of int, shape (n,)
    n_batches : int
    n_reference : int
        Batches of the reference, from the first.

    Returns
    -------
    ndarray, shape (n_batches - n_reference, p)
        NaN for a batch without objects.
    """
    features, batch = np.asarray(features, float), np.asarray(batch)
    edges = find_edges(features[(batch >= 0) & (batch < n_reference)], bins)
    counts = count_bins(features, edges, batch, n_batches)
    index = psi(counts[:n_reference].sum(axis=0), counts[n_reference:])
    return np.where(counts[n_reference:].sum(axis=2) > 0, index, np.nan)


def _square_root(covariance: Floats) -> Floats:
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T)


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
        if len(groups) < MINIMUM_BATCHES:
            raise ValueError(
                f"a reference of {len(groups)} batches does not show how batches differ: give {MINIMUM_BATCHES} or more"
            )
        scores = stats.norm.ppf((stats.rankdata(features, axis=0) - 0.5) / len(features))
        sizes = np.bincount(place)
        means = np.stack([np.bincount(place, weights=column) / sizes for column in scores.T], axis=1)
        rest = scores - means[place]
        within = (rest**2).sum(axis=0) / (len(scores) - len(groups))
        weights = np.sqrt(sizes)[:, None]
        line = weights * np.stack([np.ones(len(groups)), groups], axis=1)
        aside = weights * means - line @ np.linalg.lstsq(line, weights * means)[0]
        between = (aside**2).sum(axis=0) / (len(groups) - 2)
        size = (sizes.sum() - (sizes**2).sum() / sizes.sum()) / (len(groups) - 1)
        root = _square_root(rest.T @ rest / (len(scores) - len(groups)))
        return cls(np.sort(features, axis=0), root, np.sqrt(np.clip((between - within) / size, 0, None)))

    def draw(self, sizes: Sequence[int], rng: np.random.Generator) -> tuple[Floats, NDArray[np.int64]]:
        """Simulate a stationary survey with batches of given sizes: its features, and the batch of each row."""
        batch = np.repeat(np.arange(len(sizes)), sizes)
        scores = rng.standard_normal((len(batch), len(self.spread))) @ self.root
        scores += (rng.standard_normal((len(sizes), len(self.spread))) * self.spread)[batch]
        scores /= np.sqrt((self.root**2).sum(axis=0) + self.spread**2 + 1e-12)
        rank = np.clip((stats.norm.cdf(scores) * len(self.values)).astype(int), 0, len(self.values) - 1)
        return np.take_along_axis(self.values, rank, axis=0), batch


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

    def first(self, index: ArrayLike) -> NDArray[np.int64]:
        """First batch (from 0) that rings, -1 for none, of indices of shape (..., batches, p)."""
        rings = self.excess(index) > 1
        return np.where(rings.any(axis=-1), rings.argmax(axis=-1), -1)


def simulate_indices(
    model: StationaryModel, sizes: Sequence[int], n_reference: int, surveys: int, seed: int | Sequence[int]
) -> Floats:
    """Indices of stationary surveys, shape (surveys, batches - n_reference, p)."""
    rng = np.random.default_rng(seed)
    drawn = (model.draw(sizes, rng) for _ in range(surveys))
    return np.stack([measure_psi(features, batch, len(sizes), n_reference) for features, batch in drawn])


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
    unit, index = (simulate_indices(model, sizes, n_reference, surveys, [seed, part]) for part in (0, 1))
    unit = np.quantile(np.nan_to_num(unit), 1 - LEVEL, axis=0)
    unit = np.where(unit > 0, unit, np.inf)
    largest = np.sort(np.nan_to_num(index / unit).max(axis=(1, 2)))
    place = min(int(stats.binom.ppf(CONFIDENCE, surveys, 1 - LEVEL)), surveys - 1)
    return Alarm(tuple(names), unit * largest[place], n_reference)


def check_alarm(alarm: Alarm, model: StationaryModel, sizes: Sequence[int], *, surveys: int, seed: int) -> pd.DataFrame:
    """Count false alarms in stationary surveys that the calibration has not seen.

    Returns
    -------
    DataFrame
        what (surveys that ring at all; batches that ring), n, alarms, share, low, high (exact 95 %).
    """
    index = simulate_indices(model, sizes, alarm.n_reference, surveys, [seed, 2])
    return summarise(list(alarm.excess(index) > 1))


def summarise(rings: Sequence[NDArray[np.bool_]]) -> pd.DataFrame:
    """As `check_alarm`, of the batches that ring in each survey."""
    rows = []
    for what, alarms in (("surveys", np.array([any(survey) for survey in rings])), ("batches", np.concatenate(rings))):
        interval = stats.binomtest(int(alarms.sum()), alarms.size).proportion_ci()
        rows.append((what, alarms.size, int(alarms.sum()), float(alarms.mean()), interval.low, interval.high))
    return pd.DataFrame(rows, columns=["what", "n", "alarms", "share", "low", "high"])
