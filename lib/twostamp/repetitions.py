"""What the finished models of a search say about each object: the probabilities of every repetition of each winner."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from twostamp.params import Parameters


@dataclass(frozen=True)
class Predictions:
    """One set of objects as the winners of a search see it.

    Attributes
    ----------
    labels : ndarray, shape (n,), int64
    classes : tuple of str
        In the order of the labels.
    probabilities : dict of ndarray, shape (r, n, len(classes)), float64
        By model, of its r repetitions; the repetition that is best on validation first.
    """

    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    probabilities: dict[str, NDArray[np.float64]]

    @property
    def predicted(self) -> dict[str, NDArray[np.int64]]:
        """Predicted labels by model, shape (r, n)."""
        return {model: values.argmax(axis=2) for model, values in self.probabilities.items()}

    @property
    def right(self) -> dict[str, NDArray[np.bool_]]:
        """Whether the repetition that is best on validation is right, by model, shape (n,)."""
        return {model: values[0] == self.labels for model, values in self.predicted.items()}

    def accuracy(self, model: str) -> float:
        """Mean of the accuracies of a model's repetitions."""
        return float(np.mean(self.predicted[model] == self.labels))

    def without(self, model: str) -> "Predictions":
        """The same of all models but one."""
        kept = {name: values for name, values in self.probabilities.items() if name != model}
        return replace(self, probabilities=kept)

    def ensemble(self) -> dict[str, NDArray[np.float64]]:
        """Mean of the repetitions' probabilities by model, shape (n, k)."""
        return {model: values.mean(axis=0) for model, values in self.probabilities.items()}


def choose_winners(results: pd.DataFrame, models: Mapping[str, str]) -> dict[str, pd.DataFrame]:
    """Finished repetitions of the combination with the best mean accuracy on validation, by model.

    Parameters
    ----------
    results : DataFrame
        Of `twostamp.search.read_results`.
    models : mapping of str to str
        Variant by the model's name; those without a finished trial are left out.

    Returns
    -------
    dict of DataFrame
        Rows of `results`, the best repetition on validation first.
    """
    from twostamp.search import rank_combinations, select_trials

    ranked = rank_combinations(results)
    winners = {}
    for model, variant in models.items():
        best = ranked[ranked["variant"] == variant]
        if len(best):
            trials = select_trials(results, best.iloc[0])
            winners[model] = trials.sort_values("validation_accuracy", ascending=False, kind="stable")
    return winners


def predict_winners(winners: Mapping[str, pd.DataFrame], records: Path, split: str, params: Parameters) -> Predictions:
    """Apply every repetition of the winners to one split of the records.

    Parameters
    ----------
    winners : mapping of str to DataFrame
        Of `choose_winners`, one at least.
    records : Path
    split : {"validation", "test"}
    params : Parameters
        metadata_recipe.

    Returns
    -------
    Predictions
    """
    from twostamp.models import VARIANTS, predict
    from twostamp.records import load_arrays, read_info
    from twostamp.search import load_trial

    probabilities, labels = {}, np.empty(0, np.int64)
    for model, trials in winners.items():
        variant, crop = str(trials["variant"].iloc[0]), int(trials["crop_size"].iloc[0])
        features = VARIANTS[variant].features_read
        arrays = load_arrays(records, split, features=features, crop=crop, recipe=params.metadata_recipe)
        labels = np.asarray(arrays.labels)
        each = [predict(load_trial(row), variant, arrays) for _, row in trials.iterrows()]
        probabilities[model] = np.stack(each).astype(np.float64)
    return Predictions(labels, read_info(records).classes, probabilities)
