"""Population stability index: distance of the features of a batch from those of a reference.

The index compares the shares of a batch in the quantile bins of a reference. It is the sum of (p - q) ln(p / q), the
Jeffreys divergence of the binned distributions (Siddiqi 2006). Its customary limits of 0.1 and 0.25 ignore the batch's
size; `expect_psi` takes it into account. Neither includes the weather, so no limit here raises an alarm.
"""

import numpy as np
from numpy.typing import ArrayLike

from twostamp.utils.typing import Floats, Ints

_BINS = 10
_PSEUDOCOUNT = 0.5
"""Added to every bin that either side fills, so that an empty bin is not infinitely unlikely (Jeffreys)."""


def psi(reference: ArrayLike, batch: ArrayLike) -> Floats:
    """Compute the population stability index of counts in the same bins: 0 for equal counts, symmetric, never negative.

    Parameters
    ----------
    reference, batch : array_like, shapes (..., bins)
        Counts, 0 or more; the shapes broadcast. A bin that is empty on both sides is ignored.

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
    """Find the inner edges of each feature's quantile bins, without NaN; fewer if many values are equal."""
    levels = np.arange(1, _BINS) / _BINS
    columns = (column[~np.isnan(column)] for column in reference.T)
    return [
        np.unique(np.quantile(column, levels, method="inverted_cdf")) if column.size else np.empty(0)
        for column in columns
    ]


def count_bins(features: ArrayLike, batch: ArrayLike, n_batches: int, n_reference: int) -> Ints:
    """Count the values of each batch in the reference's quantile bins of each feature.

    Parameters
    ----------
    features : array_like, shape (n, p)
    batch : array_like of int, shape (n,)
        From 0; rows with -1 are left out.
    n_batches : int
    n_reference : int
        Number of first batches that form the reference.

    Returns
    -------
    ndarray, shape (n_batches, p, bins + 1), int64
        A bin holds values above its lower edge, up to and including its upper edge. The last bin holds NaN.
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
    """Compute the index of every feature and later batch against the reference.

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


def expect_psi(counts: Ints, n_reference: int) -> Floats:
    """Compute the mean index of batches of these sizes without drift, in the shape of `measure_psi`.

    It is about (bins - 1)(1 / n + 1 / m) for n and m objects (Yurdakul 2018). Differences in weather add to it.
    """
    reference, later = counts[:n_reference].sum(axis=0), counts[n_reference:]
    bins = (reference > 0).sum(axis=-1) - 1
    with np.errstate(divide="ignore"):
        return np.asarray(bins * (1 / reference.sum(axis=-1) + 1 / later.sum(axis=-1)))
