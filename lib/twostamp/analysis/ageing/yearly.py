"""Accuracy and recall by year with intervals over objects and repetitions, and how far they fall."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from twostamp.evaluation.bootstrap import Bootstrap, Estimate, Resampled, mean_known
from twostamp.utils.typing import Bools, Ints

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


def resample_recalls(
    predictions: YearlyPredictions, groups: Ints, split: str, bootstrap: Bootstrap
) -> dict[str, Resampled]:
    """Recall of each class in each group, mean over repetitions, on the objects and on resamples of both.

    Objects are drawn within group and class, and repetitions too, the same for all lists.

    Parameters
    ----------
    predictions : YearlyPredictions
    groups : ndarray of int, shape (n,)
        Such as the years.
    split : str
    bootstrap : Bootstrap

    Returns
    -------
    dict of Resampled, shape (groups, classes)
        By list; NaN where nothing is tested.
    """
    rng, resamples = bootstrap.generator(), bootstrap.resamples
    tested, present = predictions.tested[split], np.unique(groups)
    repetitions = rng.integers(0, len(tested), (resamples, len(tested)))
    shape = (1 + resamples, len(present), len(predictions.classes))
    recalls = {name: np.full(shape, np.nan) for name in predictions.correct}
    for g, label in np.ndindex(shape[1:]):
        rows = np.flatnonzero((groups == present[g]) & (predictions.labels == label))
        if not rows.size:
            continue
        weights = np.vstack([np.ones((1, rows.size)), bootstrap.weights(np.zeros(rows.size), rng)])
        total = weights @ tested[:, rows].T
        for name, correct in predictions.correct.items():
            hits = weights @ (tested & correct)[:, rows].T
            share = np.divide(hits, total, out=np.full_like(hits, np.nan), where=total > 0)
            share[1:] = np.take_along_axis(share[1:], repetitions, axis=1)
            recalls[name][:, g, label] = mean_known(share, axis=1)
    return {name: Resampled(values[0], values[1:]) for name, values in recalls.items()}


def average_recalls(recalls: Resampled) -> Resampled:
    """Accuracy, shape (groups,): the mean of the recalls of the classes that are tested."""
    return Resampled(mean_known(recalls.value, axis=-1), mean_known(recalls.drawn, axis=-1))


def tabulate_years(predictions: YearlyPredictions, bootstrap: Bootstrap) -> pd.DataFrame:
    """Accuracy (mean of the classes' recalls) and recalls by year, list and split, with intervals of 95 %.

    Returns
    -------
    DataFrame
        features, split, year, score, n (objects, those of several repetitions once), value, low, high.
    """
    rows = []
    for split in predictions.tested:
        for name, recalls in resample_recalls(predictions, predictions.years, split, bootstrap).items():
            accuracy = average_recalls(recalls)
            for g, year in enumerate(np.unique(predictions.years)):
                scores: list[tuple[str, int | None, Resampled]] = [("accuracy", None, accuracy[g])]
                scores += [(f"recall {c}", k, recalls[g][k]) for k, c in enumerate(predictions.classes)]
                for score, label, found in scores:
                    n = predictions.count_tested(split, year, label)
                    known = found.drawn[~np.isnan(found.drawn)] if n else np.nan
                    rows.append((name, split, int(year), score, n, *Estimate.from_resamples(found.value, known)))
    return pd.DataFrame(rows, columns=["features", "split", "year", "score", "n", "value", "low", "high"])


def tabulate_falls(predictions: YearlyPredictions, bootstrap: Bootstrap) -> pd.DataFrame:
    """How far accuracy falls from the first year to the last, by list, and paired differences between lists.

    Returns
    -------
    DataFrame
        split, what (a list; or two, the fall of the first minus that of the second), first (accuracy of the first
        year), last, fall, low, high (95 %), n_first, n_last (objects tested in the two years), verdict.
    """
    rows = []
    for split in predictions.tested:
        recalls = resample_recalls(predictions, predictions.years, split, bootstrap)
        accuracy = {name: average_recalls(values) for name, values in recalls.items()}
        falls = {name: values[0] - values[-1] for name, values in accuracy.items()}
        sizes = [predictions.count_tested(split, int(end(predictions.years))) for end in (np.min, np.max)]
        for name, fall in falls.items():
            ends, found = accuracy[name].value[[0, -1]], fall.estimate()
            rows.append((split, name, *ends, *found, *sizes, _test_against_zero(found, "falls", "rises")))
        for a, b in (pair for pair in _COMPARED if set(pair) <= set(falls)):
            found = (falls[a] - falls[b]).estimate()
            verdict = _test_against_zero(found, "first falls more", "second falls more")
            rows.append((split, f"{a} - {b}", np.nan, np.nan, *found, *sizes, verdict))
    columns = ["split", "what", "first", "last", "fall", "low", "high", "n_first", "n_last", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def _test_against_zero(found: Estimate, positive: str, negative: str) -> str:
    """Word for the side of 0 on which the whole interval lies."""
    return positive if found.low > 0 else negative if found.high < 0 else "cannot tell"


def summarise_falls(falls: pd.DataFrame, data: str) -> list[str]:
    """One sentence a row of `tabulate_falls`; `data` says what the alerts are."""
    lines = []
    for row in falls.to_dict("records"):
        ends = "" if np.isnan(row["first"]) else f" from {100 * row['first']:.1f} to {100 * row['last']:.1f} %,"
        size = f"n {row['n_first']} and {row['n_last']}"
        between = f"{100 * row['fall']:.1f} points [{100 * row['low']:.1f}, {100 * row['high']:.1f}]"
        lines.append(f"{data}, {row['split']}: {row['what']}{ends} {between}, {size}: {row['verdict']}")
    return lines
