"""Model of a night: one classifier for one alert or two, or a pair of classifiers."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from twostamp.data.features import packet_fields
from twostamp.models.architectures import SECOND_SEEN, input_shapes
from twostamp.models.calibration import CALIBRATION, Calibration, load_calibration
from twostamp.models.classifier import CARD, NETWORK, PRETRAINED, SCALER, Classifier, ModelError
from twostamp.utils.typing import Floats

_PACKAGED = (("one_or_two", "one_or_two"), ("stacked", "stamp_26"), ("separated", "stamp_26"))
"""Packaged models of a run, for an object's two alerts and for its first."""


@dataclass(frozen=True)
class NightModel:
    """Two classifiers, which may be the same one.

    Attributes
    ----------
    first, second : Classifier
        For an object's first alert, and for its first two.
    name : str
    version : str
        Hash of cards, weights, statistics, calibrations and the adapter.
    calibrations : mapping of int to Calibration
        Calibrations by number of alerts, if the models' folders have them.
    """

    first: Classifier
    second: Classifier
    name: str
    version: str
    calibrations: Mapping[int, Calibration]

    @classmethod
    def load(
        cls, folder: Path | str = PRETRAINED, first_folder: Path | str = "", adapter: Path | str = ""
    ) -> "NightModel":
        """Load a classifier, by default the shipped one.

        Parameters
        ----------
        folder : Path or str
        first_folder : Path or str
            Folder of another classifier, for first alerts; required if the one in `folder` always takes two.
        adapter : Path or str
            Of `twostamp.models.adapter`, for both; none by default.

        Raises
        ------
        ModelError
            A folder holds no model, or the two do not match.
        """
        second = Classifier.load(folder, adapter)
        folders = [Path(folder)]
        if first_folder:
            first = Classifier.load(first_folder, adapter)
            folders.insert(0, Path(first_folder))
        elif SECOND_SEEN in input_shapes(second.variant, second.crop_size):
            first = second.at_first_alert()
        else:
            raise ModelError(f"{folder} has a model {second.variant!r}: name another one for the other alert")
        if (first.n_alerts, second.n_alerts) != (1, 2):
            raise ModelError(f"{first.variant!r} is no model for first alerts, or {second.variant!r} none for two")
        if first.classes != second.classes:
            raise ModelError(f"{folders[0]} and {folders[-1]} have different classes")
        calibrations = load_calibration(folders[-1]) | {
            n_alerts: each for n_alerts, each in load_calibration(folders[0]).items() if n_alerts == 1
        }
        name = "+".join(dict.fromkeys((first.variant, second.variant)))
        return cls(first, second, name, _hash_models(folders, adapter), calibrations)

    @classmethod
    def of_run(cls, models: Path, adapter: Path | str = "") -> "NightModel":
        """Load a run's packaged classifier for one alert or two, else a pair of them, else the shipped classifier."""
        for name, first in _PACKAGED:
            if all((models / folder / CARD).exists() for folder in (name, first)):
                return cls.load(models / name, "" if first == name else models / first, adapter)
        return cls.load(adapter=adapter)

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the classes in the order of the probabilities."""
        return self.first.classes

    @property
    def simulated(self) -> bool:
        """Return whether the model was trained on simulated alerts."""
        return "simulated" in str(self.first.card.get("trained on", ""))

    @property
    def fields(self) -> frozenset[str]:
        """Return the fields of ``candidate`` that an alert must have."""
        return frozenset(packet_fields(self.first.features)) | frozenset(packet_fields(self.second.features))

    def answer(self, objects: Sequence[Sequence[Mapping[str, Any]]]) -> tuple[Floats, dict[int, str]]:
        """Classify objects from one or two decoded packets, the earlier first.

        Returns
        -------
        probabilities : ndarray, shape (n, classes), float64
        failures : dict
            Index of an object whose packets cannot be used -> the reason.
        """
        probabilities = np.full((len(objects), len(self.classes)), np.nan)
        failures: dict[int, str] = {}
        for n_alerts, classifier in ((1, self.first), (2, self.second)):
            places = [place for place, packets in enumerate(objects) if len(packets) == n_alerts]
            if places:
                found = classifier.predict([objects[place] for place in places], on_error="nan", progress=False)
                probabilities[places] = found
                failures |= {places[number]: reason for number, reason in found.failures.items()}
        return probabilities, failures


def _hash_models(folders: Sequence[Path], adapter: Path | str) -> str:
    digest = hashlib.sha256()
    paths = [folder / name for folder in folders for name in (CARD, NETWORK, SCALER, CALIBRATION)]
    for path in (*paths, *([Path(adapter)] if adapter else [])):
        digest.update(path.read_bytes() if path.exists() else b"")
    return digest.hexdigest()[:16]
