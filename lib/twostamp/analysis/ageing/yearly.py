"""Accuracy and recall by year with intervals over objects and repetitions, and how far they fall."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from twostamp.evaluation.bootstrap import draw_weights, mean_known, percentile_interval
from twostamp.params import Parameters
from twostamp.utils.typing import Bools, Floats, Ints

_COMPARED = (
    ("thesis26", "drift_safe"),
    ("thesis26_no_coordinates", "drift_safe_no_coordinates"),
    ("thesis26", "thesis26_no_coordinates"),
)
"""Pairs of lists: the thesis's against the one that should not age, and with coordinates against without."""


@dataclass(frozen=True)
class YearlyPredictions:
    """Predictions for the objects of all years, by the repetitions of classifiers trained on the first.

    Attributes
    ----------
    labels, years, batches : ndarray, shape (n,), int
    classes : tuple of str
    tested : dict of ndarray, shape (repetitions, n), bool
        By split, the objects on which a repetition is tested.
    correct : dict of ndarray, shape (repetitions, n), bool
        By list of features.
    """

    labels: Ints
    years: Ints
    batches: Ints
    classes: tuple[str, ...]
    tested: dict[str, Bools]
    correct: dict[str, Bools]

    def count_tested(self, split: str, year: int, label: int | None = None) -> int:
        """Objects of a year, and of one class if given, that any repetition of a split tests."""
        chosen = self.tested[split].any(axis=0) & (self.years == year)
        return int((chosen if label is None else chosen & (self.labels == label)).sum())


def resample_recalls(predictions: YearlyPredictions, groups: Ints, split: str, params: Parameters) -> dict[str, Floats]:
    """Recall of each class in each group, mean over repetitions, on the objects and on resamples of both.

    Objects are drawn within group and class, and repetitions too, the same for all lists.

    Parameters
    ----------
    predictions : YearlyPredictions
    groups : ndarray of int, shape (n,)
        Such as the years.
    split : str
    params : Parameters
        bootstrap_resamples, seed.

    Returns
    -------
    dict of ndarray, shape (1 + resamples, groups, classes)
        By list, that of the objects as they are first; NaN where nothing is tested.
    """
    rng, resamples = np.random.default_rng(params.seed), params.bootstrap_resamples
    tested, present = predictions.tested[split], np.unique(groups)
    repetitions = rng.integers(0, len(tested), (resamples, len(tested)))
    shape = (1 + resamples, len(present), len(predictions.classes))
    recalls = {name: np.full(shape, np.nan) for name in predictions.correct}
    for g, label in np.ndindex(shape[1:]):
        rows = np.flatnonzero((groups == present[g]) & (predictions.labels == label))
        if not rows.size:
            continue
        weights = np.vstack([np.ones((1, rows.size)), draw_weights(np.zeros(rows.size, int), resamples, rng)])
        total = weights @ tested[:, rows].T
        for name, correct in predictions.correct.items():
            hits = weights @ (tested & correct)[:, rows].T
            share = np.divide(hits, total, out=np.full_like(hits, np.nan), where=total > 0)
            share[1:] = np.take_along_axis(share[1:], repetitions, axis=1)
            recalls[name][:, g, label] = mean_known(share, axis=1)
    return recalls


def tabulate_years(predictions: YearlyPredictions, params: Parameters) -> pd.DataFrame:
    """Accuracy (mean of the classes' recalls) and recalls by year, list and split, with intervals of 95 %.

    Returns
    -------
    DataFrame
        features, split, year, score, n (objects, those of several repetitions once), value, low, high.
    """
    rows = []
    for split in predictions.tested:
        for name, recalls in resample_recalls(predictions, predictions.years, split, params).items():
            scores: list[tuple[str, int | None, Floats]] = [("accuracy", None, mean_known(recalls, -1))]
            scores += [(f"recall {c}", label, recalls[..., label]) for label, c in enumerate(predictions.classes)]
            for g, year in enumerate(np.unique(predictions.years)):
                for score, label, values in scores:
                    n, drawn = predictions.count_tested(split, year, label), values[1:, g]
                    interval = percentile_interval(drawn[~np.isnan(drawn)]) if n else (np.nan, np.nan)
                    rows.append((name, split, int(year), score, n, values[0, g], *interval))
    return pd.DataFrame(rows, columns=["features", "split", "year", "score", "n", "value", "low", "high"])


def tabulate_falls(predictions: YearlyPredictions, params: Parameters) -> pd.DataFrame:
    """How far accuracy falls from the first year to the last, by list, and paired differences between lists.

    Returns
    -------
    DataFrame
        split, what (a list; or two, the fall of the first minus that of the second), first (accuracy of the first
        year), last, fall, low, high (95 %), n_first, n_last (objects tested in the two years), verdict.
    """
    rows = []
    for split in predictions.tested:
        recalls = resample_recalls(predictions, predictions.years, split, params)
        accuracy = {name: mean_known(values, -1) for name, values in recalls.items()}
        falls = {name: values[:, 0] - values[:, -1] for name, values in accuracy.items()}
        sizes = [predictions.count_tested(split, int(end(predictions.years))) for end in (np.min, np.max)]
        for name, fall in falls.items():
            found = _test_against_zero(fall, "falls", "rises")
            rows.append((split, name, *accuracy[name][0, [0, -1]], *found[:3], *sizes, found[3]))
        for a, b in (pair for pair in _COMPARED if set(pair) <= set(falls)):
            found = _test_against_zero(falls[a] - falls[b], "first falls more", "second falls more")
            rows.append((split, f"{a} - {b}", np.nan, np.nan, *found[:3], *sizes, found[3]))
    columns = ["split", "what", "first", "last", "fall", "low", "high", "n_first", "n_last", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def _test_against_zero(values: Floats, positive: str, negative: str) -> tuple[float, float, float, str]:
    """First of the values, the interval of 95 % of the others, and on which side of 0 that lies."""
    low, high = percentile_interval(values[1:])
    return values[0], low, high, positive if low > 0 else negative if high < 0 else "cannot tell"


def summarise_falls(falls: pd.DataFrame, data: str) -> list[str]:
    """One sentence a row of `tabulate_falls`; `data` says what the alerts are."""
    lines = []
    for row in falls.to_dict("records"):
        ends = "" if np.isnan(row["first"]) else f" from {100 * row['first']:.1f} to {100 * row['last']:.1f} %,"
        size = f"n {row['n_first']} and {row['n_last']}"
        between = f"{100 * row['fall']:.1f} points [{100 * row['low']:.1f}, {100 * row['high']:.1f}]"
        lines.append(f"{data}, {row['split']}: {row['what']}{ends} {between}, {size}: {row['verdict']}")
    return lines
