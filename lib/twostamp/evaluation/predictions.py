"""Probabilities that every repetition of the winners of a search predicts for a set of objects."""

from dataclasses import dataclass, replace

import numpy as np

from twostamp.utils.typing import Bools, Floats, Ints


@dataclass(frozen=True)
class Predictions:
    """Predictions of several models for one set of objects.

    Attributes
    ----------
    labels : ndarray, shape (n,), int64
    classes : tuple of str
        Classes in the order of the labels.
    probabilities : dict of ndarray, shape (r, n, len(classes)), float64
        Probabilities by model, for its r repetitions; the repetition that is best on validation comes first.
    """

    labels: Ints
    classes: tuple[str, ...]
    probabilities: dict[str, Floats]

    @property
    def predicted(self) -> dict[str, Ints]:
        """Return the predicted labels by model, shape (r, n)."""
        return {model: values.argmax(axis=2) for model, values in self.probabilities.items()}

    @property
    def correct(self) -> dict[str, Bools]:
        """Return whether each repetition is right, by model, shape (r, n)."""
        return {model: values == self.labels for model, values in self.predicted.items()}

    @property
    def right(self) -> dict[str, Bools]:
        """Return whether the repetition that is best on validation is right, by model, shape (n,)."""
        return {model: values[0] for model, values in self.correct.items()}

    def accuracy(self, model: str) -> float:
        """Return the mean accuracy of a model's repetitions."""
        return float(np.mean(self.correct[model]))

    def without(self, model: str) -> "Predictions":
        """Return the predictions of all models but one."""
        kept = {name: values for name, values in self.probabilities.items() if name != model}
        return replace(self, probabilities=kept)

    def ensemble(self) -> dict[str, Floats]:
        """Return the mean probabilities over repetitions by model, shape (n, k)."""
        return {model: values.mean(axis=0) for model, values in self.probabilities.items()}
