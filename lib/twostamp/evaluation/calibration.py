"""Calibration of probabilities, and their correction to a night whose classes are not balanced.

Reliability and expected calibration error (Guo et al. 2017, ICML), Brier score, negative log-likelihood and temperature
scaling. Probabilities are corrected to known or estimated shares of the classes (Saerens, Latinne and Decaestecker
2002, Neural Computation 14, 21).
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from twostamp.evaluation.bootstrap import LEVEL, Bootstrap, Estimate
from twostamp.evaluation.predictions import Predictions
from twostamp.utils.typing import Floats, Ints

ECE = "ECE"
MEASURES = ("accuracy", ECE, "Brier", "NLL")
_TINY = 1e-12
_TEMPERATURES = (0.05, 20.0)
_STEPS = 1000  # iterations of the estimate of shares, at most
_PRECISION = 1e-8


def measure_reliability(probabilities: ArrayLike, labels: ArrayLike, bins: int) -> pd.DataFrame:
    """Compute the share of right predictions by confidence, in bins of equal width.

    Parameters
    ----------
    probabilities : array_like, shape (n, k)
    labels : array_like of int, shape (n,)
    bins : int

    Returns
    -------
    DataFrame
        One row per bin with objects: confidence (mean of the highest probability), right (share), n, low and high. The
        last two are the 95 % range of the share for a calibrated model (binomial distribution).
    """
    confidence, right, place = _confidences(probabilities, labels, bins)
    groups = pd.DataFrame({"bin": place, "confidence": confidence, "right": right}).groupby("bin")
    table = groups.mean().assign(n=groups.size()).reset_index(drop=True)
    law = stats.binom(table["n"], table["confidence"].clip(0, 1))
    return table.assign(low=law.ppf(LEVEL / 2) / table["n"], high=law.ppf(1 - LEVEL / 2) / table["n"])


def _confidences(probabilities: ArrayLike, labels: ArrayLike, bins: int) -> tuple[Floats, Floats, Ints]:
    """Find the highest probability of each object, whether its class is right, and its bin."""
    values = np.asarray(probabilities, float)
    confidence = values.max(axis=1)
    right = (values.argmax(axis=1) == np.asarray(labels)).astype(float)
    return confidence, right, np.minimum((confidence * bins).astype(np.int64), bins - 1)


def _log_losses(probabilities: Floats, labels: Ints) -> Floats:
    """Compute the negative log-likelihood of each object's true class, nats."""
    return -np.log(np.maximum(probabilities[np.arange(len(labels)), labels], _TINY))


def calibration_scores(
    probabilities: ArrayLike, labels: ArrayLike, bins: int, weights: ArrayLike | None = None
) -> Floats:
    """Compute accuracy, expected calibration error, Brier score (summed over classes) and negative log-likelihood
    (nats).

    Parameters
    ----------
    probabilities : array_like, shape (n, k)
    labels : array_like of int, shape (n,)
    bins : int
        Number of bins of the calibration error.
    weights : array_like, shape (n,) or (b, n), optional
        Weights of the objects; one set of scores for each row.

    Returns
    -------
    ndarray, shape (4,) or (b, 4)

    Examples
    --------
    >>> calibration_scores([[0.8, 0.2], [0.4, 0.6]], [0, 0], bins=10).round(3).tolist()
    [0.5, 0.4, 0.4, 0.57]
    """
    values, labels = np.asarray(probabilities, float), np.asarray(labels)
    given = np.ones(len(labels)) if weights is None else np.asarray(weights, float)
    shares = np.atleast_2d(given) / np.atleast_2d(given).sum(axis=1, keepdims=True)
    confidence, right, place = _confidences(values, labels, bins)
    gaps = (confidence - right)[:, None] * np.eye(bins)[place]
    squares = ((values - np.eye(values.shape[1])[labels]) ** 2).sum(axis=1)
    error = np.abs(shares @ gaps).sum(axis=1)
    scores = np.stack([shares @ right, error, shares @ squares, shares @ _log_losses(values, labels)], axis=1)
    return scores[0] if given.ndim == 1 else scores


def apply_temperature(probabilities: ArrayLike, temperature: float) -> Floats:
    """Divide the logits by a temperature: above 1 confidence falls; the order of the classes stays.

    Examples
    --------
    >>> apply_temperature([[0.8, 0.2]], 2.0).round(3).tolist()
    [[0.667, 0.333]]
    """
    return np.asarray(softmax(np.log(np.maximum(np.asarray(probabilities, float), _TINY)) / temperature, axis=-1))


def fit_temperature(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Fit the temperature, between 0.05 and 20, with the least negative log-likelihood on held-out objects.

    Parameters
    ----------
    probabilities : array_like, shape (n, k)
    labels : array_like of int, shape (n,)
    """
    labels = np.asarray(labels)

    def loss(log_temperature: float) -> float:
        return float(_log_losses(apply_temperature(probabilities, float(np.exp(log_temperature))), labels).mean())

    return float(np.exp(minimize_scalar(loss, bounds=np.log(_TEMPERATURES), method="bounded").x))


def calibrate(validation: Predictions, test: Predictions) -> dict[str, dict[str, Floats]]:
    """Calibrate the probabilities of the test set: by temperature, by ensemble of the repetitions, and by both.

    Parameters
    ----------
    validation, test : Predictions
        Predictions of the same models; the temperatures are fitted on the first.

    Returns
    -------
    dict of dict of ndarray, shape (n, k)
        By model, then by method: ``single`` (the repetition that is best on validation), ``temperature``,
        ``ensemble``, ``ensemble, temperature``.
    """
    known, wanted = validation.ensemble(), test.ensemble()
    calibrated = {}
    for model, repetitions in test.probabilities.items():
        first = fit_temperature(validation.probabilities[model][0], validation.labels)
        both = fit_temperature(known[model], validation.labels)
        calibrated[model] = {
            "single": repetitions[0],
            "temperature": apply_temperature(repetitions[0], first),
            "ensemble": wanted[model],
            "ensemble, temperature": apply_temperature(wanted[model], both),
        }
    return calibrated


def simulate_calibrated(probabilities: ArrayLike, bins: int, bootstrap: Bootstrap) -> Floats:
    """Simulate calibration errors of a calibrated model with these confidences, shape (resamples,).

    Each prediction is right with a probability equal to its confidence (consistency resampling, Broecker and Smith
    2007). The error is never 0, so an observed one is compared with these.

    Examples
    --------
    >>> bool(simulate_calibrated([[0.8, 0.2]] * 20, 10, Bootstrap(200, seed=1)).mean() > 0.05)
    True
    """
    confidence, _, place = _confidences(probabilities, np.zeros(len(np.asarray(probabilities)), int), bins)
    right = bootstrap.generator(1).random((bootstrap.resamples, confidence.size)) < confidence
    gaps = (confidence - right) @ np.eye(bins)[place]
    return np.asarray(np.abs(gaps).sum(axis=1) / confidence.size)


def tabulate_calibration(
    calibrated: Mapping[str, Mapping[str, Floats]], labels: ArrayLike, bins: int, bootstrap: Bootstrap
) -> pd.DataFrame:
    """Tabulate the scores of every model and method, with intervals from a bootstrap within each class.

    Returns
    -------
    DataFrame
        model, method, then for each measure its value, low and high (95 %). A bootstrap interval of the calibration
        error never contains 0. It therefore has two more columns, ECE calibrated and ECE limit: mean and 95 % quantile
        for a calibrated model. The column calibration is "miscalibrated" above the limit, else "as calibrated".
    """
    weights, rows = bootstrap.weights(labels), []
    for model, methods in calibrated.items():
        for method, probabilities in methods.items():
            values = calibration_scores(probabilities, labels, bins)
            drawn = calibration_scores(probabilities, labels, bins, weights)
            row: dict[str, object] = {"model": model, "method": method}
            for i, name in enumerate(MEASURES):
                found = Estimate.from_resamples(values[i], drawn[:, i]).to_row(name, f"{name} ")
                row |= {name: values[i]} if name == ECE else found
            null = simulate_calibrated(probabilities, bins, bootstrap)
            limit = float(np.quantile(null, 1 - LEVEL))
            row |= {f"{ECE} calibrated": float(null.mean()), f"{ECE} limit": limit}
            rows.append(row | {"calibration": "miscalibrated" if values[1] > limit else "as calibrated"})
    return pd.DataFrame(rows)


def shift_priors(probabilities: ArrayLike, shares: ArrayLike, trained: ArrayLike | None = None) -> Floats:
    """Correct probabilities to other shares of the classes by Bayes' rule.

    Parameters
    ----------
    probabilities : array_like, shape (n, k)
    shares : array_like, shape (k,)
        Shares of the classes where the model is applied.
    trained : array_like, shape (k,), optional
        Shares of the classes in its training; equal by default, as in balanced batches.

    Examples
    --------
    >>> shift_priors([[0.5, 0.5]], [0.9, 0.1]).round(3).tolist()
    [[0.9, 0.1]]
    """
    values, wanted = np.asarray(probabilities, float), np.asarray(shares, float)
    ratio = wanted / (np.full(wanted.size, 1 / wanted.size) if trained is None else np.asarray(trained, float))
    shifted = values * ratio
    return shifted / np.maximum(shifted.sum(axis=1, keepdims=True), _TINY)


def estimate_shares(probabilities: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Estimate the shares of the classes among unlabelled objects by expectation maximisation (Saerens 2002).

    Parameters
    ----------
    probabilities : array_like, shape (n, k)
        Calibrated probabilities of a model trained on balanced batches.
    weights : array_like, shape (n,), optional

    Returns
    -------
    ndarray, shape (k,)
    """
    values = np.asarray(probabilities, float)
    of_objects = np.full(len(values), 1 / len(values)) if weights is None else np.asarray(weights, float)
    of_objects = of_objects / of_objects.sum()
    shares = np.full(values.shape[1], 1 / values.shape[1])
    for _ in range(_STEPS):
        improved = of_objects @ shift_priors(values, shares)
        if np.abs(improved - shares).max() < _PRECISION:
            break
        shares = improved
    return improved


def compare_shifted(
    calibrated: Mapping[str, Mapping[str, Floats]], labels: ArrayLike, shares: ArrayLike, bins: int, method: str
) -> pd.DataFrame:
    """Compare scores on objects weighted to a mix of classes, with probabilities as trained and corrected to the mix.

    Returns
    -------
    DataFrame
        model, probabilities ("as trained", "corrected"), and each measure.
    """
    weights, rows = weigh_classes(labels, shares), []
    for model, methods in calibrated.items():
        versions = {"as trained": methods[method], "corrected": shift_priors(methods[method], shares)}
        for name, values in versions.items():
            scores = dict(zip(MEASURES, calibration_scores(values, labels, bins, weights / weights.sum())))
            rows.append({"model": model, "probabilities": name, **scores})
    return pd.DataFrame(rows)


def weigh_classes(labels: ArrayLike, shares: ArrayLike) -> Floats:
    """Compute weights that give labelled objects the wanted shares of the classes, shape (n,)."""
    labels, shares = np.asarray(labels), np.asarray(shares, float)
    return (shares / np.maximum(np.bincount(labels, minlength=shares.size), 1))[labels]
