"""Scores of classifiers: confusion matrices, precision, recall, F1, and the format of Tables 6.1-6.3 (decision T11).

Matrices have the true class in rows and the predicted one in columns. "±" is the standard deviation with ddof 0.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from twostamp.evaluation.bootstrap import Bootstrap, Resampled
from twostamp.utils.typing import Floats

SCORES = ("precision", "recall", "f1")


def confusion_counts(labels: ArrayLike, predicted: ArrayLike, n_classes: int) -> np.ndarray:
    """Count objects by true class (rows) and predicted class (columns).

    Parameters
    ----------
    labels, predicted : array_like of int, shape (n,)
        Class indices.
    n_classes : int

    Returns
    -------
    ndarray, shape (n_classes, n_classes), int64

    Examples
    --------
    >>> confusion_counts([0, 0, 1], [0, 1, 1], 2)
    array([[1, 1],
           [0, 1]])
    """
    if np.size(labels) == 0:
        return np.zeros((n_classes, n_classes), np.int64)
    return confusion_matrix(labels, predicted, labels=range(n_classes)).astype(np.int64)


def accuracy(confusion: ArrayLike) -> float:
    """Compute the share of objects on the diagonal of a matrix of counts (equation 2.11); NaN without objects.

    Examples
    --------
    >>> accuracy([[3, 1], [0, 4]])
    0.875
    """
    counts = np.asarray(confusion)
    return float(np.trace(counts) / counts.sum()) if counts.any() else float("nan")


def confusion_mean_std(confusions: Sequence[ArrayLike]) -> tuple[np.ndarray, np.ndarray]:
    """Average the row-normalised matrices of several repetitions (Figures 6.1-6.3).

    Parameters
    ----------
    confusions : sequence of array_like, shape (k, k)
        Counts, one matrix per repetition.

    Returns
    -------
    mean, std : ndarray, shape (k, k), float64
        Share of the true class, and its standard deviation (ddof 0). NaN in the row of a class without objects.

    Examples
    --------
    >>> mean, std = confusion_mean_std([[[4, 0], [1, 3]], [[2, 2], [1, 3]]])
    >>> mean.tolist(), std.tolist()
    ([[0.75, 0.25], [0.25, 0.75]], [[0.25, 0.25], [0.0, 0.0]])
    """
    shares = confusion_shares(confusions)
    return shares.mean(axis=0), shares.std(axis=0)


def confusion_shares(confusions: Sequence[ArrayLike]) -> Floats:
    """Divide the matrices of counts of r repetitions by their rows, shape (r, k, k); NaN in a row without objects."""
    counts = np.asarray(list(confusions), dtype=float)
    totals = counts.sum(axis=-1, keepdims=True)
    return np.divide(counts, totals, out=np.full_like(counts, np.nan), where=totals > 0)


def class_report(confusion: ArrayLike, classes: Sequence[str]) -> pd.DataFrame:
    """Compute precision, recall and F1 per class, and their unweighted mean (equations 2.12-2.14).

    Parameters
    ----------
    confusion : array_like, shape (k, k)
        Counts.
    classes : sequence of str, length k

    Returns
    -------
    DataFrame
        class, precision, recall, f1, support; the last row is ``macro``. A score without a denominator is 0.

    Examples
    --------
    >>> class_report([[3, 1], [0, 4]], ["AGN", "SN"]).round(3)
       class  precision  recall     f1  support
    0    AGN        1.0   0.750  0.857        4
    1     SN        0.8   1.000  0.889        4
    2  macro        0.9   0.875  0.873        8
    """
    counts = np.asarray(confusion, dtype=np.int64)
    true, predicted = np.indices(counts.shape).reshape(2, -1)
    *scores, support = precision_recall_fscore_support(
        true, predicted, labels=range(len(classes)), sample_weight=counts.ravel(), zero_division=0.0
    )
    table = pd.DataFrame(dict(zip(SCORES, scores, strict=True))).assign(support=support.astype(int))
    table.insert(0, "class", list(classes))
    macro = {"class": "macro", **table[list(SCORES)].mean(), "support": table["support"].sum()}
    return pd.concat([table, pd.DataFrame([macro])], ignore_index=True)


def report_mean_std(confusions: Sequence[ArrayLike], classes: Sequence[str]) -> pd.DataFrame:
    """Summarise :func:`class_report` over repetitions.

    Returns
    -------
    DataFrame
        class; precision, recall and f1 formatted by `format_mean_std`; then their mean and std (ddof 0); support; n.
    """
    reports = pd.concat([class_report(confusion, classes) for confusion in confusions])
    groups = reports.groupby("class", sort=False)
    means, stds = groups[list(SCORES)].mean(), groups[list(SCORES)].std(ddof=0)
    n = len(confusions)
    table = pd.DataFrame(
        {s: [format_mean_std(m, d, n) for m, d in zip(means[s], stds[s], strict=True)] for s in SCORES},
        index=means.index,
    )
    numbers = means.add_suffix("_mean").join(stds.add_suffix("_std"))
    support = groups["support"].first()
    return table.join(numbers).assign(support=support, n=n).reset_index()


def format_mean_std(mean: float, std: float, n: int, digits: int = 3) -> str:
    """Format the mean and standard deviation of `n` values as in the thesis; a single value has no deviation.

    Examples
    --------
    >>> format_mean_std(0.93712, 0.0031, n=5), format_mean_std(0.93712, 0.0, n=1)
    ('0.937 ± 0.003', '0.937')
    """
    return f"{mean:.{digits}f} ± {std:.{digits}f}" if n > 1 else f"{mean:.{digits}f}"


def format_repeats(values: ArrayLike, digits: int = 3) -> str:
    """Format the mean and standard deviation (ddof 0) of repetitions, and their number.

    Examples
    --------
    >>> format_repeats([0.90, 0.92]), format_repeats([0.9])
    ('0.910 ± 0.010 (n = 2)', '0.900 (n = 1)')
    """
    numbers = np.asarray(values, float)
    return f"{format_mean_std(numbers.mean(), numbers.std(), numbers.size, digits)} (n = {numbers.size})"


def _weigh_confusions(labels: ArrayLike, predicted: ArrayLike, weights: ArrayLike, n_classes: int) -> Floats:
    """Count weighted objects by resample, repetition, true and predicted class, shape (b, r, n_classes, n_classes)."""
    cells = np.asarray(labels) * n_classes + np.atleast_2d(predicted)
    one_hot = np.eye(n_classes**2, dtype=np.float64)[cells]
    counts = np.einsum("bn,rnc->brc", np.asarray(weights, float), one_hot, optimize=True)
    return counts.reshape(*counts.shape[:2], n_classes, n_classes)


def _score_confusions(confusions: Floats) -> Floats:
    """Compute accuracy, macro-F1 and each recall of confusions (..., k, k), shape (..., 2 + k); 0 without a
    denominator."""
    hits = np.diagonal(confusions, axis1=-2, axis2=-1)
    true, predicted = confusions.sum(axis=-1), confusions.sum(axis=-2)
    recall = np.divide(hits, true, out=np.zeros_like(hits), where=true > 0)
    f1 = np.divide(2 * hits, true + predicted, out=np.zeros_like(hits), where=true + predicted > 0)
    accuracy = hits.sum(axis=-1) / true.sum(axis=-1)
    return np.concatenate([accuracy[..., None], f1.mean(axis=-1)[..., None], recall], axis=-1)


def bootstrap_scores(
    labels: ArrayLike, predicted: Mapping[str, ArrayLike], n_classes: int, bootstrap: Bootstrap
) -> dict[str, Resampled]:
    """Bootstrap the scores of `_score_confusions`, averaged over repetitions; objects are drawn within each class.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
    predicted : mapping of str to array_like of int, shape (r, n)
        Predictions of each model's repetitions.
    n_classes : int
    bootstrap : Bootstrap
    """

    def resample(answers: ArrayLike) -> Resampled:
        return bootstrap.resample(
            lambda weights: _score_confusions(_weigh_confusions(labels, answers, weights, n_classes)).mean(axis=1),
            labels,
        )

    return {model: resample(answers) for model, answers in predicted.items()}


def exchange_scores(
    labels: ArrayLike, first: ArrayLike, second: ArrayLike, n_classes: int, bootstrap: Bootstrap
) -> Floats:
    """Test whether two models have the same scores, by exchanging their predictions object by object; two-sided p.

    The scores are those of `_score_confusions`. The test is exact, except for the number of exchanges, for any number
    of objects; trainings are taken as fixed.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
    first, second : array_like of int, shape (r, n)
        Predictions of each model's repetitions.
    n_classes : int
    bootstrap : Bootstrap
        Number and seed of the exchanges.

    Returns
    -------
    ndarray, shape (2 + n_classes,)
    """
    n = np.asarray(labels).size
    swapped = bootstrap.generator(1).integers(0, 2, (bootstrap.resamples, n))
    weights = np.concatenate([np.zeros((1, n)), swapped])

    def score(kept: Floats) -> Floats:
        pairs = ((first, kept), (second, 1 - kept))
        counts = sum(_weigh_confusions(labels, answers, share, n_classes).mean(axis=1) for answers, share in pairs)
        return _score_confusions(np.asarray(counts))

    differences = np.abs(score(1 - weights) - score(weights))
    extreme = (differences[1:] >= differences[0] - 1e-12).sum(axis=0)
    return np.asarray((1 + extreme) / (1 + bootstrap.resamples))
