"""Test whether a classifier uses the object or its position on the sky (notebook 14).

AGN and supernovae lie away from the Galactic plane, asteroids near the ecliptic. A classifier with coordinates may
reproduce the maps of figure 6.6 without using a single stamp. Two tests answer this: the same classifier trained
without coordinates, and the trained one on objects with another object's coordinates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from twostamp.data.tfrecords import Records
from twostamp.evaluation.bootstrap import Bootstrap, Estimate
from twostamp.evaluation.verdicts import make_claim, tabulate_claims
from twostamp.models.prediction import predict_pairs
from twostamp.models.results import SearchResults
from twostamp.models.search import make_repeats, run_trials
from twostamp.models.training import Hyperparameters
from twostamp.params import Parameters
from twostamp.utils.coordinates import sky_coordinates
from twostamp.utils.typing import Floats, Ints

PLACE = ("ra_1", "dec_1", "ra_2", "dec_2")
WITH, WITHOUT, SWAPPED = "with coordinates", "without coordinates", "with another object's coordinates"
VARIANTS = {WITH: "stacked", WITHOUT: "stacked_thesis26_no_coordinates"}
_LATITUDE_BINS = 6
_ANOTHER = "another training"
_CHANGES = {
    "all": ("objects that change their class when told the coordinates of another", ("measured", "")),
    _ANOTHER: ("objects that change their class between trainings", ("measured", "")),
    f"all, minus {_ANOTHER}": (
        "changes of class by another's coordinates, minus those between trainings",
        ("more than between trainings", "less than between trainings"),
    ),
}
"""Claim and verdicts of rows of `tabulate_changes`."""


@dataclass(frozen=True)
class CoordinateTest:
    """Predictions of a classifier's repetitions for objects with their own or another's coordinates.

    Attributes
    ----------
    ra, dec : ndarray, shape (n,)
        Coordinates given to the classifier, degrees.
    probabilities : ndarray, shape (r, n, k)
    """

    ra: Floats
    dec: Floats
    probabilities: Floats

    @property
    def predicted(self) -> Ints:
        """Return the predicted class of each repetition, shape (r, n)."""
        return self.probabilities.argmax(axis=2)

    @property
    def latitude(self) -> Floats:
        """Return the distance from the Galactic plane, degrees."""
        return np.abs(sky_coordinates(self.ra, self.dec)["gal_lat"])


def train_with_and_without_coordinates(
    best: Hyperparameters, records: Records, folder: Path, params: Parameters
) -> SearchResults:
    """Train the stacked classifier with and without coordinates, ``audit_repetitions`` times each."""
    count = params.audit_repetitions
    trials = [trial for name in VARIANTS.values() for trial in make_repeats(name, best, count, params.seed)]
    return run_trials(trials, records, folder, params)


def draw_objects(metadata: pd.DataFrame, params: Parameters) -> pd.DataFrame:
    """Draw at most ``audit_sky_objects`` objects whose alerts are close in time, in order of objectId."""
    recent = metadata[metadata["deltajd"] <= params.deltajd_max]
    count = min(len(recent), params.audit_sky_objects)
    return recent.sample(count, random_state=params.seed).sort_values("objectId", ignore_index=True)


def swap_coordinates(metadata: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Give every object the coordinates of another, both alerts from the same one: `PLACE` (degrees) by objectId."""
    order = np.random.default_rng([seed, 14]).permutation(len(metadata))
    donors = metadata[list(PLACE)].to_numpy()[order]
    return pd.DataFrame(donors, columns=list(PLACE), index=metadata["objectId"].to_numpy())


def predict_with_and_without_coordinates(
    trained: SearchResults, pairs: Path, metadata: pd.DataFrame, records: Records, params: Parameters
) -> dict[str, CoordinateTest]:
    """Predict the unlabelled objects with both classifiers, and once more with coordinates swapped between objects.

    Parameters
    ----------
    trained : SearchResults
        Results from `train_with_and_without_coordinates`.
    pairs : Path
        ``unlabelled_pairs.parquet``.
    metadata : DataFrame
        Metadata of the wanted objects, from `twostamp.data.arrays.read_metadata`.
    records : Records
        Records that the classifiers were trained on.
    params : Parameters
        seed.

    Returns
    -------
    dict of CoordinateTest
        Tests by `WITH`, `WITHOUT` and `SWAPPED`, objects sorted by objectId. A classifier without a finished training
        is left out.
    """
    object_ids, swapped = metadata["objectId"].tolist(), swap_coordinates(metadata, params.seed)
    tests = {}
    ways = ((WITH, VARIANTS[WITH], None), (WITHOUT, VARIANTS[WITHOUT], None), (SWAPPED, VARIANTS[WITH], swapped))
    for name, variant, places in ways:
        classifiers = [trial.load(records) for trial in trained.of(variant).done]
        tables = [predict_pairs(pairs, object_ids, classifier, replaced=places) for classifier in classifiers]
        if tables:
            ra, dec = (tables[0][column].to_numpy(float) for column in ("ra", "dec"))
            classes = list(classifiers[0].classes)
            tests[name] = CoordinateTest(ra, dec, np.stack([table[classes].to_numpy(float) for table in tables]))
    return tests


def explained_share(values: ArrayLike, groups: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Compute the share of a quantity's variance between groups, corrected for their number.

    This is epsilon squared of a one-way analysis of variance (Kelley 1935): 0 on average without dependence.

    Parameters
    ----------
    values : array_like, shape (n,)
    groups : array_like of int, shape (n,)
        From 0.
    weights : array_like, shape (b, n), optional
        Number of times each of b resamples has each object; by default once each.

    Returns
    -------
    ndarray, shape (b,)
        Share; NaN for a quantity without variance, or with no more objects than groups.

    Examples
    --------
    >>> explained_share([0.0, 0, 1, 1], [0, 0, 1, 1]).tolist()
    [1.0]
    """
    quantity, bins = np.asarray(values, float), np.eye(int(np.max(groups)) + 1)[np.asarray(groups)]
    often = np.ones((1, quantity.size)) if weights is None else np.asarray(weights, float)
    n, counts = often.sum(axis=1), often @ bins
    quantity = quantity - quantity.mean()
    sums, squares = often @ (bins * quantity[:, None]), often @ quantity**2
    between = np.divide(sums**2, counts, out=np.zeros_like(sums), where=counts > 0).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        left = n - (counts > 0).sum(axis=1)
        total = squares - sums.sum(axis=1) ** 2 / n
        share = 1 - ((squares - between) / left) / (total / (n - 1))
    return np.where((left > 0) & (total > 1e-12 * n), share, np.nan)


def cut_latitudes(latitude: ArrayLike, bins: int = _LATITUDE_BINS) -> Ints:
    """Return the bin index of each latitude; bins hold equally many objects."""
    values = np.asarray(latitude, float)
    edges = np.quantile(values, np.arange(1, bins) / bins)
    return np.searchsorted(edges, values, side="right")


def tabulate_dependence(
    tests: Mapping[str, CoordinateTest], classes: Sequence[str], bootstrap: Bootstrap
) -> pd.DataFrame:
    """Tabulate how much of each class's probability the Galactic latitude explains, test by test.

    For `SWAPPED` the latitude is the one given to the classifier. What it explains there is an effect of the
    coordinates alone, since nothing else in the object corresponds to it.

    Returns
    -------
    DataFrame
        class, coordinates (the test), explained (mean over repetitions), low, high (95 % over objects). The interval is
        corrected for the bootstrap's bias: an object drawn twice lies in one bin twice.
    """
    rows = []
    for name, test in tests.items():
        groups, weights = cut_latitudes(test.latitude), bootstrap.weights(np.zeros(len(test.ra)))
        for column, label in enumerate(classes):
            quantities = test.probabilities[:, :, column]
            found = float(np.mean([explained_share(values, groups)[0] for values in quantities]))
            drawn = np.mean([explained_share(values, groups, weights) for values in quantities], axis=0)
            rows.append((label, name, *Estimate.from_resamples(found, drawn - drawn.mean() + found)))
    return pd.DataFrame(rows, columns=["class", "coordinates", "explained", "low", "high"])


def tabulate_changes(tests: Mapping[str, CoordinateTest], classes: Sequence[str], bootstrap: Bootstrap) -> pd.DataFrame:
    """Tabulate the share of objects whose class changes when only their coordinates change.

    Returns
    -------
    DataFrame
        predicted (class with their own coordinates; ``all`` for all), objects (mean over repetitions), changed, low,
        high (95 %, over objects). With several trainings follow ``another training``, the share on which the others
        with coordinates differ from the first, and ``all, minus another training``, paired by object.
    """
    before, after = tests[WITH].predicted, tests[SWAPPED].predicted
    drawn = bootstrap.rows(before.shape[1])
    rows = []
    for name in (*classes, "all"):
        mine = np.ones_like(before, bool) if name == "all" else before == list(classes).index(name)
        rows.append((name, float(mine.sum(axis=1).mean()), *_share(before != after, mine, drawn)))
    if len(before) > 1:
        differ = before[1:] != before[:1]
        rows.append((_ANOTHER, float(before.shape[1]), *_share(differ, np.ones_like(differ), drawn)))
        more = (before != after).mean(axis=0) - differ.mean(axis=0)
        rows.append((f"all, minus {_ANOTHER}", float(before.shape[1]), *bootstrap.mean(more)))
    return pd.DataFrame(rows, columns=["predicted", "objects", "changed", "low", "high"])


def _share(hits: NDArray[Any], of: NDArray[Any], drawn: NDArray[Any]) -> Estimate:
    """Estimate the share of hits over repetitions and objects, with its interval over objects; NaN without any."""
    both, members = (hits & of).sum(axis=0), of.sum(axis=0)
    if not members.sum():
        return Estimate(np.nan, np.nan, np.nan)
    numbers = members[drawn].sum(axis=1)
    resampled = both[drawn].sum(axis=1)[numbers > 0] / numbers[numbers > 0]
    return Estimate.from_resamples(both.sum() / members.sum(), resampled)


def profile_latitudes(test: CoordinateTest, bins: int = _LATITUDE_BINS) -> tuple[Floats, Floats]:
    """Compute mean latitude (degrees) and mean probability of each class, shape (bins, k), in bins of Galactic
    latitude.

    Means are over objects and repetitions; NaN for an empty bin.
    """
    groups, values = cut_latitudes(test.latitude, bins), test.probabilities.mean(axis=0)
    table = pd.DataFrame(values).assign(latitude=test.latitude).groupby(groups).mean().reindex(range(bins))
    return table["latitude"].to_numpy(), table.drop(columns="latitude").to_numpy()


def tabulate_worth(
    trained: SearchResults,
    labels: ArrayLike,
    dependence: pd.DataFrame,
    changes: pd.DataFrame,
    objects: int,
    bootstrap: Bootstrap,
) -> pd.DataFrame:
    """Tabulate claims about the effect of the coordinates.

    Parameters
    ----------
    trained : SearchResults
        Results from `train_with_and_without_coordinates`.
    labels : array_like, shape (n,)
        Labels of the test objects.
    dependence, changes : DataFrame
        Tables from `tabulate_dependence` and `tabulate_changes`.
    objects : int
        Number of unlabelled objects in both tables.
    bootstrap : Bootstrap
        Bootstrap over test objects and trainings, with the same objects for both classifiers.

    Returns
    -------
    DataFrame
        Claims from `twostamp.evaluation.tabulate_claims`.
    """
    predicted = {name: [trial.predicted("test") for trial in trained.of(v).done] for name, v in VARIANTS.items()}
    r = min(map(len, predicted.values()))
    rows = []
    if r:
        correct = {name: np.array(values[:r]) == np.asarray(labels) for name, values in predicted.items()}
        means = bootstrap.means(correct, labels)
        worth = (means[WITH] - means[WITHOUT]).estimate()
        rows.append(make_claim("what coordinates are worth on test", worth, len(np.asarray(labels)), r))
    for row in dependence.to_dict("records"):
        claim = f"what |b| explains of p({row['class']}) {row['coordinates']}"
        rows.append(make_claim(claim, Estimate.from_row(row, "explained"), objects, r, ("depends", "")))
    for row in changes[changes["predicted"].isin(list(_CHANGES))].to_dict("records"):
        claim, words = _CHANGES[row["predicted"]]
        rows.append(make_claim(claim, Estimate.from_row(row, "changed"), objects, r, words))
    return tabulate_claims(rows)
