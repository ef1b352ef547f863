"""Notebook 13: how long a classifier lasts as the survey ages, and whether the gain of the second alert does.

Classifiers learn from the first four fifths of the first year. They are tested on the rest of that year, and on every
later one. A quarter of the sky (HEALPix pixels) is kept from their training: new times are tested in known fields and
in fields never seen.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from twostamp.alerts.extraction import extract_first_two
from twostamp.data.arrays import Preparation, read_metadata
from twostamp.data.features import ALL_FEATURES, FEATURE_LISTS, compute_features
from twostamp.data.labels import read_labels
from twostamp.data.splits import filter_pairs
from twostamp.evaluation.bootstrap import Bootstrap, Resampled, balance
from twostamp.evaluation.drift import count_bins, expect_psi, measure_psi
from twostamp.evaluation.verdicts import make_claim, tabulate_claims
from twostamp.models.cross_fitting import CrossFit, StoredObjects, cross_fit
from twostamp.models.search import draw_seeds
from twostamp.models.training import Hyperparameters
from twostamp.models.trial import TrainingConfig, Trial
from twostamp.params import Parameters
from twostamp.simulation.ageing import DAYS_PER_YEAR, Ageing
from twostamp.simulation.conditions import FIRST_NIGHT
from twostamp.simulation.survey import write_survey
from twostamp.taxonomy import order_classes
from twostamp.utils.dates import julian_midnight
from twostamp.utils.healpix import find_pixels
from twostamp.utils.spark import open_spark
from twostamp.utils.typing import Bools, Floats, Ints

THESIS, SAFE, PLACELESS = "thesis26", "drift_safe", "thesis26_no_coordinates"
VARIANTS = {
    ("M0", THESIS): "stamp_26",
    ("M1", THESIS): "stacked",
    ("M0", SAFE): "stamp_drift_safe",
    ("M1", SAFE): "stacked_drift_safe",
    ("M1", PLACELESS): "stacked_thesis26_no_coordinates",
}
ADAPTED = {THESIS: f"{THESIS} adapted", SAFE: f"{SAFE} adapted"}
"""Names of the lists where the classifiers are adapted, without labels, to the objects of each year."""
Key = tuple[str, str, int]
"""One alert and two, by list of features: the thesis's, one that should not age, and one without coordinates."""

NSIDE = 4
"""Of the pixels kept from training: 192 of 14.7 degrees."""
_BLOCKED = 0.25
_LEARNED = 0.8
FORWARD, BOTH = "later", "later, unseen fields"


def make_survey(data: Path, params: Parameters) -> Path:
    """Find the alerts by year: the run's own archive, or a simulated survey that ages, written and extracted.

    Parameters
    ----------
    data : Path
        Folder of the run's data.
    params : Parameters
        archive, the parameters that begin with ``ageing``, workers, seed.

    Returns
    -------
    Path
        Folder with ``pairs.parquet`` and ``first_alerts.parquet``.
    """
    if not params.simulated:
        return data
    folder = data / "ageing"
    write_survey(
        folder / "survey",
        pairs_per_class=params.ageing_pairs_per_class,
        unlabelled_objects=0,
        nights=params.ageing_nights,
        seed=params.seed + 13,
        workers=params.workers,
        ageing=Ageing(params.ageing_years, params.ageing_first_year),
    )
    labels, _ = read_labels(folder / "survey" / "labels.csv")
    with open_spark(params.spark_master, params.workers) as spark:
        extract_first_two(spark, str(folder / "survey"), labels, folder)
    return folder


def read_years(path: Path, params: Parameters) -> pd.DataFrame:
    """Read the metadata of what section 3.4 admits, with the ``year`` (from 1) of the first alert.

    Years count from the first of June 2018 in the simulated survey, from the first alert in an archive.
    """
    table, _ = filter_pairs(read_metadata(path), params.deltajd_max, params.ssdistnr_on)
    start = julian_midnight(FIRST_NIGHT) if params.simulated else table["jd_1"].min()
    table = table.assign(year=((table["jd_1"] - start) / DAYS_PER_YEAR).astype(int) + 1)
    return table[table["year"] <= params.ageing_years].reset_index(drop=True)


def split_years(table: pd.DataFrame, seed: int) -> tuple[Ints, dict[str, Bools]]:
    """Divide objects by time and by place on the sky.

    Parameters
    ----------
    table : DataFrame
        Of `read_years`, of ``pairs.parquet``.
    seed : int
        Of the pixels.

    Returns
    -------
    train : ndarray of int
        Objects in the open pixels, both of whose alerts came before the first year's last fifth.
    tested : dict of ndarray of bool
        By `FORWARD` and `BOTH`: objects in the open pixels, and in the closed ones, whose first alert came later.
    """
    pixels = find_pixels(table["ra_1"], table["dec_1"], NSIDE)
    blocked = (np.random.default_rng([seed, 13]).random(12 * NSIDE**2) < _BLOCKED)[pixels]
    first, second = table["jd_1"].to_numpy(float), table["jd_2"].to_numpy(float)
    end = np.quantile(first[table["year"] == 1], _LEARNED)
    later = first > end
    return np.flatnonzero((second <= end) & ~blocked), {FORWARD: later & ~blocked, BOTH: later & blocked}


@dataclass(frozen=True)
class YearlyPredictions:
    """Whether classifiers trained on the first year are right on the objects of all years.

    Attributes
    ----------
    labels, years : ndarray, shape (n,), int
    classes : tuple of str
    tested : dict of ndarray, shape (n,), bool
        Of `split_years`.
    correct : dict of ndarray, shape (trainings, n), bool
        By model and list of features, keys of `VARIANTS` and those of the `ADAPTED` lists.
    """

    labels: Ints
    years: Ints
    classes: tuple[str, ...]
    tested: dict[str, Bools]
    correct: dict[tuple[str, str], Bools]

    @property
    def trainings(self) -> int:
        """Of each model."""
        return len(next(iter(self.correct.values())))

    def find(self, split: str, year: int, label: int | None = None) -> Bools:
        """Objects tested in a year, all or those of one class."""
        here = self.tested[split] & (self.years == year)
        return here if label is None else here & (self.labels == label)

    def resample(self, split: str, bootstrap: Bootstrap, label: int | None = None) -> dict[Key, Resampled]:
        """Mean of the recalls, or one recall, by model, list and year, of the years in which anything is tested.

        Objects are drawn within year and class, trainings the same for all models and years.
        """
        members = {year: self.find(split, year, label) for year in np.unique(self.years).tolist()}
        used = np.any(list(members.values()), axis=0)
        weights = {year: used.sum() * balance(self.labels, here)[used] for year, here in members.items() if here.any()}
        values = {
            (*key, year): right[:, used] * weight
            for key, right in self.correct.items()
            for year, weight in weights.items()
        }
        strata = self.years[used] * len(self.classes) + self.labels[used]
        return bootstrap.means(values, strata) if values else {}


def train_on_first_year(
    folder: Path, table: pd.DataFrame, models: Path, hyperparameters: Hyperparameters, params: Parameters
) -> YearlyPredictions:
    """Train every model of `VARIANTS` on the first year, several times, and predict the objects of all years.

    Parameters
    ----------
    folder : Path
        Of `make_survey`.
    table : DataFrame
        Of `read_years`, of ``pairs.parquet``.
    models : Path
        Where the trainings leave their predictions.
    hyperparameters : Hyperparameters
    params : Parameters
    """
    classes = tuple(order_classes(table["classALeRCE"]))
    objects = StoredObjects.write(
        folder / "pairs.parquet", models / "objects.npz", table, hyperparameters.crop_size, Preparation.of(params),
        classes, params.metadata_recipe,
    )  # fmt: skip
    train, tested = split_years(table, params.seed)
    data, config = objects.rows(train, train[:1]), TrainingConfig.of(params, params.ageing_epochs)
    seeds, years = draw_seeds(params.seed, 13, params.ageing_repetitions), table["year"].to_numpy()
    nights = np.where(np.any(list(tested.values()), axis=0), years, -1)
    jobs = [
        CrossFit(Trial(variant, hyperparameters, 0, seed), data, config, models / "fits", nights)
        for variant in VARIANTS.values()
        for seed in seeds
    ]
    right = np.array([answers.argmax(axis=-1) == objects.labels for answers in cross_fit(jobs, params)])
    correct = {}
    for (model, features), found in zip(VARIANTS, right.reshape(len(VARIANTS), len(seeds), 2, -1), strict=True):
        correct[model, features] = found[:, 0]
        if features in ADAPTED:
            correct[model, ADAPTED[features]] = found[:, 1]
    return YearlyPredictions(objects.labels, years, classes, tested, correct)


def tabulate_years(predictions: YearlyPredictions, bootstrap: Bootstrap) -> pd.DataFrame:
    """Accuracy (mean of the classes' recalls) and recalls by year, model and split, with intervals of 95 %.

    Returns
    -------
    DataFrame
        model, features, split, year, score, n, trainings, value, low, high.
    """
    rows = []
    scores: list[tuple[str, int | None]] = [("accuracy", None)]
    scores += [(f"recall {name}", label) for label, name in enumerate(predictions.classes)]
    for split, (score, label) in itertools.product(predictions.tested, scores):
        for (model, features, year), found in predictions.resample(split, bootstrap, label).items():
            size = int(predictions.find(split, year, label).sum()), predictions.trainings
            rows.append((model, features, split, year, score, *size, *found.estimate()))
    columns = ["model", "features", "split", "year", "score", "n", "trainings", "value", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def tabulate_falls(predictions: YearlyPredictions, bootstrap: Bootstrap) -> pd.DataFrame:
    """How far accuracy falls, and what the second alert gains, from the first year to the last.

    Returns
    -------
    DataFrame
        Of `twostamp.evaluation.tabulate_claims`: the fall of every model; paired differences of falls; the gain, M1
        minus M0, in every year; and how much of it is lost. n is of the smaller of two years.
    """
    rows = []
    for split in predictions.tested:
        found = predictions.resample(split, bootstrap)
        years = sorted({year for *_, year in found})
        sizes = [int(predictions.find(split, year).sum()) for year in years]
        if len(years) < 2:
            continue
        n, r, last = min(sizes[0], sizes[-1]), predictions.trainings, years[-1]
        falls = {key: found[*key, years[0]] - found[*key, last] for key in predictions.correct}
        for (model, features), fall in falls.items():
            claim = f"{split}: {model} on {features} falls by year {last}"
            rows.append(make_claim(claim, fall.estimate(), n, r, ("falls", "rises")))
        for model, other in itertools.chain(
            itertools.product(("M1", "M0"), (SAFE, *ADAPTED.values())), [("M1", PLACELESS)]
        ):
            more = (falls[model, THESIS] - falls[model, other]).estimate()
            claim = f"{split}: {model} on {THESIS} falls more than on {other} by year {last}"
            rows.append(make_claim(claim, more, n, r, ("more", "less")))
        for features in (THESIS, SAFE):
            for year, size in zip(years, sizes, strict=True):
                gain = (found["M1", features, year] - found["M0", features, year]).estimate()
                claim = f"{split}: gain of the second alert on {features} in year {year}"
                rows.append(make_claim(claim, gain, size, r, ("gains", "loses")))
            lost = (falls["M1", features] - falls["M0", features]).estimate()
            claim = f"{split}: gain on {features} lost by year {last}"
            rows.append(make_claim(claim, lost, n, r, ("shrinks", "grows")))
    return tabulate_claims(rows)


def measure_drift(table: pd.DataFrame) -> pd.DataFrame:
    """Stability index of every feature but coordinates in each year against the first.

    Coordinates follow the seasons. No alarm is made of this. One year does not show how much weather makes
    batches differ, and limits set on it ring in a fifth to a half of surveys that do not age.

    Returns
    -------
    DataFrame
        feature, year, index, expected (of these numbers of objects without any drift), largest index first.
    """
    names = FEATURE_LISTS[PLACELESS]
    features = read_features(table, names)
    years = int(table["year"].max())
    counts = count_bins(features, table["year"].to_numpy() - 1, years, 1)
    index, expected = measure_psi(counts, 1), expect_psi(counts, 1)
    rows = [
        (name, year + 2, index[year, i], expected[year, i]) for i, name in enumerate(names) for year in range(years - 1)
    ]
    drift = pd.DataFrame(rows, columns=["feature", "year", "index", "expected"])
    return drift.sort_values(["index"], ascending=False, ignore_index=True)


def read_features(table: pd.DataFrame, names: tuple[str, ...]) -> Floats:
    """Raw features of the first alerts, shape (objects, names)."""
    return np.asarray(compute_features(table, 1), float)[:, [ALL_FEATURES.index(name) for name in names]]
