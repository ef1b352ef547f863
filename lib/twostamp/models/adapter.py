"""Undo a survey's ageing without labels: counts of a night's visits become those that a classifier learned from.

A classifier of 2020 finds fewest objects where features count the visits since the survey began. The visits of a night
have the same order as those of the training epoch. Each value is therefore mapped onto the training value of the same
rank: quantile mapping (Cannon, Sobie and Murdock 2015, J. Climate 28, 6938). A night has other shares of the classes
than a training set, which has to be given them first (target shift, Zhang et al. 2013, ICML). The shares are estimated
from the classifier's own answers (`twostamp.evaluation.calibration.estimate_shares`), and answers and map in turn.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from twostamp.alerts.first_packets import read_first_packets
from twostamp.data.arrays import UnscaledArrays
from twostamp.data.decode import decode_objects
from twostamp.data.feature_lists import SURVEY_AGE
from twostamp.data.features import Scaler, packet_fields
from twostamp.data.survey_age import PLACES, SurveyAges, name_groups, read_ages
from twostamp.evaluation.calibration import estimate_shares
from twostamp.models.architectures import SECOND_SEEN, input_shapes
from twostamp.utils.dates import night_of
from twostamp.utils.files import write_json
from twostamp.utils.typing import Floats, Floats32

if TYPE_CHECKING:
    from twostamp.models.classifier import Classifier

ADAPTER = "adapter.json"
LEAST = 50
"""Alerts of a night, or of a filter or field of it, from which on it is mapped by itself."""
_ROUNDS = 10
_SETTLED = 0.005  # change of a share
_KNOTS = 101
_TOO_FEW = f"{{}} objects are too few to see how the survey has aged: {LEAST} are needed"

Knots = tuple[Sequence[float], Sequence[float]]


class AdapterError(ValueError):
    """A night that a classifier cannot be adapted to, or a file that holds no adapter; in one sentence."""


def match_quantiles(values: ArrayLike, training: ArrayLike, weights: ArrayLike) -> Knots:
    """Map values onto the training values of the same rank.

    Parameters
    ----------
    values : array_like, shape (n,)
        Finite; equal ones stay equal.
    training : array_like, shape (m,)
        Finite.
    weights : array_like, shape (m,)
        Of the training values.

    Returns
    -------
    (values, mapped)
        Both sorted; at most `_KNOTS` of them, between which one interpolates.

    Examples
    --------
    >>> match_quantiles([10, 10, 30, 20], [1, 2, 3, 1], [1, 1, 1, 1])
    ([10.0, 20.0, 30.0], [1.0, 2.0, 3.0])
    """
    known, counts = np.unique(np.asarray(values, float), return_counts=True)
    ranks = (np.cumsum(counts) - counts / 2) / counts.sum()
    wanted, shares = np.asarray(training, float), np.asarray(weights, float)
    order = np.argsort(wanted, kind="stable")
    reached = np.cumsum(shares[order]) / shares.sum()
    mapped = wanted[order][np.minimum(np.searchsorted(reached, ranks - 1e-9), len(order) - 1)]
    kept = np.unique(np.linspace(0, len(known) - 1, _KNOTS).round().astype(int))
    return known[kept].tolist(), mapped[kept].tolist()


@dataclass(frozen=True)
class Adapter:
    """A map of the survey-age features of one night, or month, onto those of a training set.

    Attributes
    ----------
    night : str
        UTC dates of the alerts that it was fitted on.
    alerts : int
        Their number.
    shares : mapping of str to float
        Estimated shares of the classes among them.
    maps : mapping
        Of `match_quantiles`, by group (``""``: all, ``"g"``: a filter, ``"g 12.0"``: a filter in a field) and feature.
    scaler : str
        `Scaler.digest` of the training set; empty in files of earlier versions.
    """

    night: str
    alerts: int
    shares: Mapping[str, float]
    maps: Mapping[str, Mapping[str, Knots]]
    scaler: str = ""

    @classmethod
    def fit(cls, classifier: "Classifier", objects: UnscaledArrays, training: SurveyAges, night: str = "") -> "Adapter":
        """Fit it on unlabelled objects of a night.

        Parameters
        ----------
        classifier : Classifier
            Without an adapter.
        objects : UnscaledArrays
            With the classifier's preparation; all of the night, whatever their class.
        training : SurveyAges
            Of its training set, labelled.
        night : str

        Raises
        ------
        AdapterError
            There are fewer than `LEAST` objects, or a class has no training alert.
        """
        n, classes = len(objects.object_ids), classifier.classes
        if n < LEAST:
            raise AdapterError(_TOO_FEW.format(n))
        training = training.first(len(objects.metadata))
        if absent := [name for i, name in enumerate(classes) if not (training.labels == i).any()]:
            raise AdapterError(f"the training set that is to be matched has no {absent[0]}")
        ages = SurveyAges.measure(objects.metadata)
        shares, adapter = np.full(len(classes), np.nan), None
        for _ in range(_ROUNDS):
            answers = (adapter.wrap(classifier) if adapter else classifier).predict_unscaled(objects)
            before, shares = shares, estimate_shares(answers)
            if np.abs(shares - before).max() < _SETTLED:
                break
            maps = _match_groups(ages, np.tile(answers, (len(objects.metadata), 1)), training)
            named = dict(zip(classes, shares.tolist(), strict=True))
            adapter = cls(night, n, named, maps, classifier.scaler.digest)
        assert adapter
        return adapter

    def apply(self, features: ArrayLike) -> Floats32:
        """Map raw features, shape (n, len(ALL_FEATURES)), of either alert; what is missing stays missing."""
        mapped = np.array(features, np.float32)
        values, groups = read_ages(mapped), name_groups(mapped)
        for level in groups.T:  # from coarse to fine
            for group in np.unique(level):
                for feature, knots in self.maps.get(str(group), {}).items():
                    column = values[:, SURVEY_AGE.index(feature)]
                    rows = (level == group) & np.isfinite(column)
                    mapped[rows, PLACES[SURVEY_AGE.index(feature)]] = np.interp(column[rows], *knots)
        return mapped

    def wrap(self, classifier: "Classifier") -> "Classifier":
        """The classifier, which reads the features of such a night as those of its training set.

        Raises
        ------
        AdapterError
            It was fitted for a classifier of another training set.
        """
        if self.scaler not in ("", classifier.scaler.digest):
            raise AdapterError(f"the adapter of night {self.night!r} is of another training set: fit it for this model")
        return replace(classifier, scaler=AdaptedScaler(**vars(classifier.scaler) | {"adapter": self}))

    def save(self, path: Path | str) -> None:
        """Write one JSON file."""
        write_json(Path(path), asdict(self))

    @classmethod
    def load(cls, path: Path | str) -> "Adapter":
        """Read `save`'s file.

        Raises
        ------
        AdapterError
            It is not there, or is none.
        """
        try:
            return cls(**json.loads(Path(path).read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise AdapterError(f"{path} holds no adapter: {error}") from None


@dataclass(frozen=True)
class AdaptedScaler(Scaler):
    """Statistics of a training set, for features of a night that an adapter maps onto it first."""

    adapter: Adapter

    def transform(self, features: ArrayLike, alert: int, list_name: str) -> Floats32:
        """Map and standardise raw features; see `Scaler.transform`."""
        return super().transform(self.adapter.apply(features), alert, list_name)


def fit_adapter(classifier: "Classifier", archive: Path | str) -> Adapter:
    """Fit an adapter on the objects of a folder or tarball of one night, or month, by their first alerts.

    Parameters
    ----------
    classifier : Classifier
        That knows its training set's ages; one for one alert or two is asked at the first.
    archive : Path or str
        As for `twostamp.models.classify.classify_archive`.

    Raises
    ------
    AdapterError
        As of `Adapter.fit`.
    """
    if SECOND_SEEN in input_shapes(classifier.variant, classifier.crop_size):
        classifier = classifier.at_first_alert()
    objects = list(read_first_packets(str(archive), classifier.n_alerts).objects.values())
    if len(objects) < LEAST:  # before the stamps are decoded
        raise AdapterError(_TOO_FEW.format(len(objects)))
    table = decode_objects(objects, classifier.n_alerts, fields=packet_fields(classifier.features))
    nights = sorted(set(table["jd_1"].map(night_of)))
    adapted = classifier.adapt(classifier.prepare(table), night=" to ".join(dict.fromkeys((nights[0], nights[-1]))))
    assert isinstance(adapted.scaler, AdaptedScaler)
    return adapted.scaler.adapter


def _match_groups(ages: SurveyAges, answers: Floats, training: SurveyAges) -> dict[str, dict[str, Knots]]:
    """Match each group that is large enough on both sides, the training set weighted to the group's own mix."""
    maps: dict[str, dict[str, Knots]] = {}
    for level, known in zip(ages.groups.T, training.groups.T, strict=True):
        for group, size in zip(*np.unique(level, return_counts=True), strict=True):
            here, there = level == group, known == group
            if min(size, there.sum()) < LEAST:
                continue
            shares = estimate_shares(answers[here])
            counts = np.bincount(training.labels[there], minlength=len(shares))
            weights = (shares / np.maximum(counts, 1))[training.labels]
            for i, feature in enumerate(SURVEY_AGE):
                mine, used = ages.values[here, i], there & np.isfinite(training.values[:, i]) & (weights > 0)
                mine = mine[np.isfinite(mine)]
                if len(mine) and used.any():
                    knots = match_quantiles(mine, training.values[used, i], weights[used])
                    maps.setdefault(str(group), {})[feature] = knots
    return maps
