"""False-positive rates: how often each test finds a difference between equally good classifiers.

Each comparison has objects of five classes. Two classifiers are trained on two measurements of every object, equally
good by construction: same class means, same noise distribution, part of the noise shared. No test should prefer either
more often than its level.

The classifier is a ridge regression on the measurement and on random ReLU features of it. A "seed" is a draw of the
features, a "combination" a number of features and a ridge. A comparison therefore includes all that varies in a search:
objects, split, seeds, and the choice of the best combination on validation.
"""

import math
import warnings
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from twostamp.evaluation.bootstrap import LEVEL, Bootstrap
from twostamp.evaluation.hypothesis_tests import (
    cochran_test,
    corrected_t_test,
    delong_test,
    mcnemar_test,
    probability_better,
    welch_test,
)
from twostamp.evaluation.metrics import exchange_scores
from twostamp.evaluation.verdicts import COLUMNS
from twostamp.params import Parameters
from twostamp.thesis import REPETITIONS
from twostamp.utils.typing import Floats, Ints

N_CLASSES = 5
N_FEATURES = 10
SEPARATION = 1.15  # of the class means: gives the thesis's accuracy, 0.92 ± 0.004 over seeds, with its sizes
SHARES = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98)  # tried shares of the noise's variance that both measurements have in common
LIKENESS = 0.5  # correlation of being right, if no run measures it
FITTED_ON = 12  # comparisons
TRAIN_LIMIT = 150  # objects per class: more would only take longer
COMBINATIONS = ((16, 1.0), (16, 10.0), (24, 1.0), (24, 10.0))
RESAMPLES = 200
SN = 1

Labels = Ints
Split = tuple[Labels, Labels, Labels]

THESIS = "thesis: Welch over 5 seeds, one-sided, validation"


@dataclass(frozen=True)
class Sizes:
    """Objects per class, splits, and the share of the noise's variance that both measurements have in common."""

    train: int
    validation: int
    test: int
    splits: int
    shared: float = 0.5

    @property
    def test_share(self) -> float:
        """Test objects over training objects."""
        return self.test / self.train


def choose_sizes(params: Parameters) -> Sizes:
    """Choose the sizes of a run's own comparison, with the training set cut to 150 objects per class."""
    train = params.cap_per_class - params.validation_per_class - params.test_per_class
    limited = max(10, min(train, TRAIN_LIMIT))
    return Sizes(limited, params.validation_per_class, params.test_per_class, params.repeated_splits)


class NullComparison:
    """Equally good classifiers on objects measured twice, and a third time for Cochran's test."""

    def __init__(self, sizes: Sizes, rng: np.random.Generator) -> None:
        self.sizes, self.rng = sizes, rng
        per_class = sizes.train + sizes.validation + sizes.test
        self.labels: Labels = np.repeat(np.arange(N_CLASSES), per_class)
        means = np.random.default_rng(0).normal(0, SEPARATION, (N_CLASSES, N_FEATURES))[self.labels]
        shared = rng.normal(0, np.sqrt(sizes.shared), means.shape)
        noise = rng.normal(0, np.sqrt(1 - sizes.shared), (3, *means.shape))
        self.measured = means + shared + noise

    def split(self) -> Split:
        """Draw training, validation and test objects of every class."""
        places = np.stack([self.rng.permutation(np.flatnonzero(self.labels == k)) for k in range(N_CLASSES)])
        first, second = self.sizes.train, self.sizes.train + self.sizes.validation
        return places[:, :first].ravel(), places[:, first:second].ravel(), places[:, second:].ravel()

    def train(self, model: int, train: Labels, combination: tuple[int, float] = COMBINATIONS[0]) -> Floats:
        """Train one classifier with a new seed; return its scores of every object, shape (n, N_CLASSES)."""
        neurons, ridge = combination
        features = self.measured[model]
        weights = self.rng.normal(0, 1 / np.sqrt(N_FEATURES), (N_FEATURES + 1, neurons))
        hidden = np.maximum(features @ weights[1:] + weights[0], 0)
        inputs = np.concatenate([hidden, features, np.ones((len(hidden), 1))], axis=1)
        known, targets = inputs[train], np.eye(N_CLASSES)[self.labels[train]]
        return inputs @ np.linalg.solve(known.T @ known + ridge * np.eye(inputs.shape[1]), known.T @ targets)

    def accuracy(self, scores: Floats, objects: Labels) -> float:
        """Compute the share of objects whose highest score is that of their class."""
        return float(np.mean(scores[objects].argmax(axis=1) == self.labels[objects]))

    def run_search(self, model: int, split: Split) -> list[Floats]:
        """Train every combination five times; return the repetitions of the best by mean accuracy on validation."""
        train, validation, _ = split
        trained = [[self.train(model, train, c) for _ in range(REPETITIONS)] for c in COMBINATIONS]
        means = [np.mean([self.accuracy(scores, validation) for scores in group]) for group in trained]
        return trained[int(np.argmax(means))]

    def bootstrap(self) -> Bootstrap:
        """Make a bootstrap with a seed of this comparison."""
        return Bootstrap(RESAMPLES, int(self.rng.integers(2**31)))


def _run_tests(null: NullComparison, margin: float) -> dict[str, bool]:
    """Run every procedure on one comparison; return by name whether it finds a false difference."""
    split = null.split()
    winners = [null.run_search(model, split) for model in (0, 1)]
    on_one_split = _test_repetitions(null, winners, split) | _test_objects(null, winners, split)
    return on_one_split | _test_splits(null, margin)


def _test_repetitions(null: NullComparison, winners: list[list[Floats]], split: Split) -> dict[str, bool]:
    validation, test = ([[null.accuracy(s, objects) for s in group] for group in winners] for objects in split[1:])
    return {
        THESIS: _small(welch_test(validation[0], validation[1], "less").p_value),
        "Welch over 5 seeds, two-sided, test": _small(welch_test(test[0], test[1], "two-sided").p_value),
    }


def _test_objects(null: NullComparison, winners: list[list[Floats]], split: Split) -> dict[str, bool]:
    train, _, test = split
    labels = null.labels[test]
    first, second, third = winners[0][0], winners[1][0], null.train(2, train)
    right = np.stack([scores[test].argmax(axis=1) == labels for scores in (first, second, third)], axis=1)
    predicted = {str(m): np.stack([s[test].argmax(axis=1) for s in group]) for m, group in enumerate(winners)}
    p_values = exchange_scores(labels, predicted["0"], predicted["1"], N_CLASSES, null.bootstrap())
    recalls = p_values[2:]
    return {
        "McNemar, test": _small(mcnemar_test(right[:, 0], right[:, 1]).p_value),
        "Cochran's Q of three, test": _small(cochran_test(right).p_value),
        "DeLong, SN against rest, test": _small(delong_test(labels == SN, first[test, SN], second[test, SN]).p_value),
        "exchange of macro-F1, test": _small(p_values[1]),
        "exchange of five recalls, any, uncorrected": bool((recalls < LEVEL).any()),
        # Holm's first step is Bonferroni's: it rejects if the smallest p, times their number, is below the level
        "exchange of five recalls, any, Holm": bool(recalls.min() * recalls.size < LEVEL),
    }


def _test_splits(null: NullComparison, margin: float) -> dict[str, bool]:
    accuracies = []
    for _ in range(null.sizes.splits):
        train, _, test = null.split()
        accuracies.append([null.accuracy(null.train(model, train), test) for model in (0, 1)])
    first, second = np.array(accuracies).T
    differences, share = first - second, null.sizes.test_share
    better = probability_better(differences)
    return {
        "Welch over repeated splits": _small(welch_test(first, second, "two-sided").p_value),
        "paired t over repeated splits": _small(corrected_t_test(differences, 0).p_value),
        "corrected t over repeated splits": _small(corrected_t_test(differences, share).p_value),
        "P(A > B), exact interval without 1/2": better.low > 0.5 or better.high < 0.5,
        "equivalence (TOST), uncorrected": _is_within(differences + margin, 0, margin),
        "equivalence (TOST), corrected": _is_within(differences + margin, share, margin),
    }


def _is_within(differences: Floats, test_share: float, margin: float) -> bool:
    interval = corrected_t_test(differences, test_share, 2 * LEVEL).difference
    return bool(-margin < interval.low and interval.high < margin)


def _small(p_value: float) -> bool:
    return bool(p_value < LEVEL)  # NaN is not


def count_false_positives(sizes: Sizes, worlds: int, margin: float, seed: int) -> pd.DataFrame:
    """Measure the false-positive rate of every procedure at a nominal level of 5 %.

    Parameters
    ----------
    sizes : Sizes
    worlds : int
    margin : float
        Margin of the equivalence tests, in which one model is worse by exactly this much.
    seed : int

    Returns
    -------
    DataFrame
        procedure, worlds, found (count), rate, low, high (95 % Wilson interval), verdict ("holds its level", "too
        often", "cautious").
    """
    children = np.random.SeedSequence([seed, 11]).spawn(worlds)
    # with such small matrices threads only wait for each other; scipy warns if five seeds nearly agree
    with threadpool_limits(1), warnings.catch_warnings(action="ignore", category=RuntimeWarning):
        tested = [
            _run_tests(NullComparison(sizes, np.random.default_rng(child)), margin)
            for child in tqdm(children, desc="null comparisons", unit="comparison")
        ]
    found = pd.DataFrame(tested).sum()
    low, high = proportion_confint(found.to_numpy(), worlds, method="wilson")
    table = pd.DataFrame({"procedure": found.index, "worlds": worlds, "found": found.to_numpy()})
    table = table.assign(rate=table["found"] / worlds, low=low, high=high)
    verdict = np.select([table["low"] > LEVEL, table["high"] < LEVEL], ["too often", "cautious"], "holds its level")
    return table.assign(verdict=verdict)


def fit_shared(sizes: Sizes, likeness: float, seed: int) -> Sizes:
    """Fit the shared noise so that two equal models are right on the same objects as often as real ones.

    Parameters
    ----------
    sizes : Sizes
    likeness : float
        Correlation of being right between two models, measured in a run; NaN without two models.
    seed : int
    """
    found = []
    for share in SHARES:
        each = []
        for child in np.random.SeedSequence([seed, 12]).spawn(FITTED_ON):
            null = NullComparison(replace(sizes, shared=share), np.random.default_rng(child))
            train, _, test = null.split()
            right = [null.train(m, train)[test].argmax(axis=1) == null.labels[test] for m in (0, 1)]
            each.append(np.corrcoef(right)[0, 1])
        found.append(np.nanmean(each))
    wanted = LIKENESS if math.isnan(likeness) else likeness
    return replace(sizes, shared=float(np.interp(wanted, np.maximum.accumulate(found), SHARES)))


def measure_false_positives(params: Parameters, likeness: float) -> dict[str, pd.DataFrame]:
    """Run `count_false_positives` with test sizes of the thesis and with sizes of a run; return tables by title.

    Both have at most `TRAIN_LIMIT` training objects per class. Tests that correct for the share of test objects
    therefore see a larger one than the thesis's. `likeness` is that of the run's own models; `fit_shared` fits both
    sets to it.
    """
    thesis = Sizes(TRAIN_LIMIT, 200, 100, params.repeated_splits)
    options = {"worlds": params.null_worlds, "margin": params.equivalence_margin, "seed": params.seed}
    title = f"{TRAIN_LIMIT} training objects a class, validation and test of the thesis"
    sizes = {title: thesis, "sizes of this run": choose_sizes(params)}
    fitted = {title: fit_shared(size, likeness, params.seed) for title, size in sizes.items()}
    return {title: count_false_positives(size, **options) for title, size in fitted.items()}  # type: ignore[arg-type]


def claim_rates(rates: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Make claims of the false-positive rates of all procedures, the thesis's and ours; n is the number of worlds.

    Returns
    -------
    DataFrame
        Claims as from `twostamp.evaluation.tabulate_claims`, without trainings.
    """
    tables = [
        table.assign(claim=f"false differences, {title}: " + table["procedure"], value=table["rate"], n=table["worlds"])
        for title, table in rates.items()
    ]
    claims = pd.concat(tables, ignore_index=True)
    return claims.assign(trainings="")[list(COLUMNS)]
