"""Calibration of a saved classifier for one night: ``calibration.json`` next to its card.

Notebook 11 fits it; `twostamp.stream` applies it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from twostamp import evaluation
from twostamp.utils.files import write_json
from twostamp.utils.typing import Bools, Floats

CALIBRATION = "calibration.json"


@dataclass(frozen=True)
class Calibration:
    """Calibration of one classifier and number of alerts.

    Attributes
    ----------
    temperature : float
        Temperature for `twostamp.evaluation.apply_temperature`.
    thresholds : sequence of float, length k
        Lowest probability of the model with which a class enters the conformal set.
    coverage : float
        Share of the objects of each class whose set holds it.
    shares : sequence of float, length k
        Shares of the classes among a night's new objects.
    """

    temperature: float
    thresholds: Sequence[float]
    coverage: float
    shares: Sequence[float]

    @classmethod
    def fit(cls, probabilities: ArrayLike, labels: Any, coverage: float, shares: ArrayLike) -> "Calibration":
        """Fit temperature and thresholds on objects outside the model's training set.

        Parameters
        ----------
        probabilities : array_like, shape (n, k)
        labels : array_like of int, shape (n,)
        coverage : float
        shares : array_like, shape (k,)
        """
        thresholds = evaluation.fit_thresholds(probabilities, labels, coverage)
        temperature = evaluation.fit_temperature(probabilities, labels)
        return cls(temperature, thresholds.tolist(), coverage, np.asarray(shares, float).tolist())

    def correct(self, probabilities: ArrayLike) -> Floats:
        """Temper probabilities and correct them to the night's mix, shape (n, k)."""
        return evaluation.shift_priors(evaluation.apply_temperature(probabilities, self.temperature), self.shares)

    def make_sets(self, probabilities: ArrayLike) -> Bools:
        """Build conformal sets, shape (n, k)."""
        return evaluation.make_sets(probabilities, self.thresholds)


def save_calibration(folder: Path, calibrations: Mapping[int, Calibration]) -> None:
    """Write the calibrations next to a classifier's card, by number of alerts of a prediction."""
    write_json(folder / CALIBRATION, {str(n_alerts): asdict(each) for n_alerts, each in calibrations.items()})


def load_calibration(folder: Path) -> dict[int, Calibration]:
    """Read `save_calibration`'s file; empty if there is none."""
    path = folder / CALIBRATION
    content = json.loads(path.read_text()) if path.exists() else {}
    return {int(n_alerts): Calibration(**each) for n_alerts, each in content.items()}
