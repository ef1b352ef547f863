"""Probabilities that the winners of a search give to a set of objects, of every repetition."""

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
        In the order of the labels.
    probabilities : dict of ndarray, shape (r, n, len(classes)), float64
        By model, of its r repetitions; the repetition that is best on validation first.
    """

    labels: Ints
    classes: tuple[str, ...]
    probabilities: dict[str, Floats]

    @property
    def predicted(self) -> dict[str, Ints]:
        """Predicted labels by model, shape (r, n)."""
        return {model: values.argmax(axis=2) for model, values in self.probabilities.items()}

    @property
    def correct(self) -> dict[str, Bools]:
        """Whether each repetition is right, by model, shape (r, n)."""
        return {model: values == self.labels for model, values in self.predicted.items()}

    @property
    def right(self) -> dict[str, Bools]:
        """Whether the repetition that is best on validation is right, by model, shape (n,)."""
        return {model: values[0] for model, values in self.correct.items()}

    def accuracy(self, model: str) -> float:
        """Mean of the accuracies of a model's repetitions."""
        return float(np.mean(self.correct[model]))

    def without(self, model: str) -> "Predictions":
        """The same of all models but one."""
        kept = {name: values for name, values in self.probabilities.items() if name != model}
        return replace(self, probabilities=kept)

    def ensemble(self) -> dict[str, Floats]:
        """Mean of the repetitions' probabilities by model, shape (n, k)."""
        return {model: values.mean(axis=0) for model, values in self.probabilities.items()}
