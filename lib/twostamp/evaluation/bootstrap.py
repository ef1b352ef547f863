"""Bootstrap over the objects of a test set, class by class, one draw for all models (Efron and Tibshirani 1993)."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
CHUNK = 500  # resamples at a time: with 500 objects and 25 cells of a matrix, 2 MB


def draw_weights(labels: ArrayLike, resamples: int, seed: int | np.random.Generator) -> NDArray[np.int64]:
    """How often each resample draws each object; every class keeps its number of objects.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
    resamples : int
    seed : int or Generator

    Returns
    -------
    ndarray, shape (resamples, n)

    Examples
    --------
    >>> draw_weights([0, 0, 1], resamples=2, seed=1).sum(axis=1).tolist()
    [3, 3]
    """
    labels = np.asarray(labels)
    rng = np.random.default_rng(seed)
    weights = np.zeros((resamples, labels.size), np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        shares = np.full(members.size, 1 / members.size)
        weights[:, members] = rng.multinomial(members.size, shares, size=resamples)
    return weights


def weigh_confusions(labels: ArrayLike, predicted: ArrayLike, weights: ArrayLike, n_classes: int) -> Floats:
    """Confusion matrices of resamples.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
    predicted : array_like of int, shape (r, n)
        Of r repetitions of a model.
    weights : array_like, shape (b, n)
        Of `draw_weights`.
    n_classes : int

    Returns
    -------
    ndarray, shape (b, r, n_classes, n_classes)
        Counts; rows true, columns predicted.
    """
    cells = np.asarray(labels) * n_classes + np.atleast_2d(predicted)
    one_hot = np.eye(n_classes**2, dtype=np.float64)[cells]
    counts = np.einsum("bn,rnc->brc", np.asarray(weights, float), one_hot, optimize=True)
    return counts.reshape(*counts.shape[:2], n_classes, n_classes)


def score_confusions(confusions: Floats) -> Floats:
    """Accuracy, macro-F1 and the recall of each class of confusion matrices.

    Parameters
    ----------
    confusions : ndarray, shape (..., k, k)

    Returns
    -------
    ndarray, shape (..., 2 + k)
        A score without a denominator is 0, as in `twostamp.evaluation.metrics.class_report`.
    """
    hits = np.diagonal(confusions, axis1=-2, axis2=-1)
    true, predicted = confusions.sum(axis=-1), confusions.sum(axis=-2)
    recall = np.divide(hits, true, out=np.zeros_like(hits), where=true > 0)
    f1 = np.divide(2 * hits, true + predicted, out=np.zeros_like(hits), where=true + predicted > 0)
    accuracy = hits.sum(axis=-1) / true.sum(axis=-1)
    return np.concatenate([accuracy[..., None], f1.mean(axis=-1)[..., None], recall], axis=-1)


def score_names(classes: Sequence[str]) -> list[str]:
    """Name the scores of `score_confusions`."""
    return ["accuracy", "macro-F1", *(f"recall {name}" for name in classes)]


def bootstrap_scores(
    labels: ArrayLike, predicted: Mapping[str, ArrayLike], n_classes: int, *, resamples: int, seed: int
) -> dict[str, tuple[Floats, Floats]]:
    """Scores of models, mean over their repetitions, on the objects and on resamples of them.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
    predicted : mapping of str to array_like of int, shape (r, n)
        Predictions of each model's repetitions.
    n_classes, resamples, seed : int

    Returns
    -------
    dict of (ndarray, ndarray)
        By model the scores, shape (2 + n_classes,), and those of the resamples, shape (resamples, 2 + n_classes). The
        same resamples for all, so that differences are paired.
    """
    weights = draw_weights(labels, resamples, seed)
    everyone = np.ones((1, weights.shape[1]))
    scores = {}
    for model, answers in predicted.items():
        parts = [
            score_confusions(weigh_confusions(labels, answers, part, n_classes)).mean(axis=1)
            for part in (everyone, *np.array_split(weights, max(1, resamples // CHUNK)))
        ]
        scores[model] = parts[0][0], np.concatenate(parts[1:])
    return scores


def mean_interval(values: ArrayLike, drawn: NDArray[np.int64]) -> tuple[float, float, float]:
    """Mean over objects and its interval of 95 %.

    Parameters
    ----------
    values : array_like, shape (n,)
    drawn : ndarray of int, shape (b, n)
        Of `draw_rows`; the same for values that are compared.
    """
    table = np.asarray(values, float)
    return float(table.mean()), *percentile_interval(table[drawn].mean(axis=1))


def draw_rows(n: int, resamples: int, seed: int) -> NDArray[np.int64]:
    """Rows of n objects that each resample draws, of all classes together, shape (resamples, n)."""
    return np.random.default_rng(seed).integers(0, n, (resamples, n))


def percentile_p(values: ArrayLike) -> float:
    """Two-sided p of 0: twice the smaller share of resampled differences on one side, ties counting half, at least 1/b.

    Examples
    --------
    >>> percentile_p([-1, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    0.2
    """
    values = np.asarray(values, float)
    below = float(np.mean(values < 0) + np.mean(values == 0) / 2)
    return min(1.0, max(2 * min(below, 1 - below), 1 / values.size))


def compare_scores(
    scores: Mapping[str, tuple[Floats, Floats]], pairs: Sequence[tuple[str, str]], classes: Sequence[str]
) -> pd.DataFrame:
    """Differences of every score between pairs of models.

    Parameters
    ----------
    scores : mapping
        Of `bootstrap_scores`.
    pairs : sequence of (str, str)
        The model said to be worse first; a pair with a model that is absent is left out.
    classes : sequence of str

    Returns
    -------
    DataFrame
        comparison, score, first, second (of the two models), difference (second minus first), low, high (95 %), p.
    """
    rows = []
    for a, b in pairs:
        if a not in scores or b not in scores:
            continue
        (first, first_drawn), (second, second_drawn) = scores[a], scores[b]
        for i, name in enumerate(score_names(classes)):
            drawn = second_drawn[:, i] - first_drawn[:, i]
            row = (f"{a} < {b}", name, first[i], second[i], second[i] - first[i], *percentile_interval(drawn))
            rows.append((*row, percentile_p(drawn)))
    return pd.DataFrame(rows, columns=["comparison", "score", "first", "second", "difference", "low", "high", "p"])


def bootstrap_means(
    values: Mapping[str, ArrayLike], labels: ArrayLike, *, resamples: int, seed: int
) -> dict[str, tuple[float, Floats]]:
    """Means over objects and repetitions, and those of resamples of both.

    Parameters
    ----------
    values : mapping of str to array_like, shape (r, n)
        Something measured on each object by each repetition of a training, such as whether it is right. Repetitions
        of the same number belong together.
    labels : array_like of int, shape (n,)
        Objects are drawn within their classes.
    resamples, seed : int

    Returns
    -------
    dict of (float, ndarray)
        By name the mean, and those of the resamples, shape (resamples,). The same resamples for all, so that
        differences are paired. Of r repetitions, resamples vary as (r - 1) / r of what trainings do.

    Examples
    --------
    >>> means = bootstrap_means({"right": [[1, 1, 0], [1, 1, 0]]}, [0, 0, 1], resamples=100, seed=1)
    >>> round(means["right"][0], 3), float(means["right"][1].std().round(6))
    (0.667, 0.0)
    """
    tables = {name: np.atleast_2d(np.asarray(table, float)) for name, table in values.items()}
    r, n = next(iter(tables.values())).shape
    rng = np.random.default_rng(seed)
    objects = draw_weights(labels, resamples, rng) / n
    repetitions = rng.multinomial(r, np.full(r, 1 / r), size=resamples) / r
    drawn = {name: ((objects @ table.T) * repetitions).sum(axis=1) for name, table in tables.items()}
    return {name: (float(table.mean()), drawn[name]) for name, table in tables.items()}


LEVEL = 0.05
"""Significance level of section 6.4."""


def percentile_interval(values: ArrayLike, level: float = LEVEL) -> tuple[float, float]:
    """Interval between the percentiles of resampled values."""
    low, high = np.quantile(np.asarray(values, float), [level / 2, 1 - level / 2])
    return float(low), float(high)


def mean_known(values: Floats, axis: int) -> Floats:
    """Mean of what is not NaN along an axis; NaN where there is nothing else.

    Examples
    --------
    >>> mean_known(np.array([[1.0, np.nan], [np.nan, np.nan]]), axis=1).tolist()
    [1.0, nan]
    """
    count = (~np.isnan(values)).sum(axis=axis)
    return np.where(count > 0, np.nansum(values, axis=axis) / np.maximum(count, 1), np.nan)


FEW_NIGHTS = 5
"""Fewer nights than this give no interval by night that deserves the name."""


def bootstrap_nights(values: ArrayLike, nights: ArrayLike, *, resamples: int, seed: int) -> tuple[float, float, str]:
    """Interval of 95 % of a mean, clustered by night.

    Parameters
    ----------
    values, nights : array_like, shape (n,)
    resamples, seed : int
        Nights are drawn with all their objects (cluster bootstrap).

    Returns
    -------
    low, high, kind
        With one night there is none (NaN); with fewer than `FEW_NIGHTS` the range of the nights' own means.

    Examples
    --------
    >>> bootstrap_nights([1, 1, 0, 1], ["a", "a", "b", "b"], resamples=100, seed=1)
    (0.5, 1.0, 'range of 2 nights')
    """
    values = np.asarray(values, float)
    names, place = np.unique(np.asarray(nights), return_inverse=True)
    sizes = np.bincount(place)
    sums = np.bincount(place, weights=values)
    if len(names) < 2:
        return np.nan, np.nan, "one night: none"
    if len(names) < FEW_NIGHTS:
        means = sums / sizes
        return float(means.min()), float(means.max()), f"range of {len(names)} nights"
    drawn = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return *percentile_interval(drawn @ sums / (drawn @ sizes)), f"by {len(names)} nights"
