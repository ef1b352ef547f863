"""Comparisons whose answer is known: how often does each test find a difference between equally good classifiers?

Each world has objects of five classes. Two classifiers learn from two measurements of every object that are equally
good by construction: the same class means, noise of the same law, part of it shared. No test should prefer either more
often than its level says. The classifier is a ridge regression on the measurement and on random ReLU features of it; a
"seed" is a draw of the features, a "combination" a number of features and a ridge, so that a world holds what varies in
a search: objects, split, seeds, and the choice of the best combination on validation.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from statsmodels.stats.proportion import proportion_confint
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from twostamp.evaluation.bootstrap import LEVEL, bootstrap_scores, percentile_p
from twostamp.evaluation.hypothesis_tests import (
    cochran_test,
    corrected_t_test,
    delong_test,
    equivalence_p,
    mcnemar_test,
    probability_better,
    welch_test,
)
from twostamp.params import Parameters
from twostamp.thesis import THESIS_REPETITIONS

N_CLASSES = 5
N_FEATURES = 10
SEPARATION = 1.15  # of the class means: with the sizes of the thesis an accuracy of 0.92 ± 0.004 over seeds, as it has
SHARED = 0.5  # of the noise's variance that both measurements have in common
TRAIN_LIMIT = 150  # objects per class: more would only take longer
COMBINATIONS = ((16, 1.0), (16, 10.0), (24, 1.0), (24, 10.0))
RESAMPLES = 200
SN = 1

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Split = tuple[Labels, Labels, Labels]

THESIS = "thesis: Welch over 5 seeds, one-sided, validation"


@dataclass(frozen=True)
class Sizes:
    """Objects per class, and splits, of a world."""

    train: int
    validation: int
    test: int
    splits: int

    @property
    def test_share(self) -> float:
        """Test objects over training objects."""
        return self.test / self.train


def choose_sizes(params: Parameters) -> Sizes:
    """Sizes of a run's own comparison, its training set cut to 150 objects per class."""
    train = params.cap_per_class - params.validation_per_class - params.test_per_class
    limited = max(10, min(train, TRAIN_LIMIT))
    return Sizes(limited, params.validation_per_class, params.test_per_class, params.repeated_splits)


class World:
    """One world: objects measured twice (and a third time for Cochran's test), and the classifiers' predictions.

    Parameters
    ----------
    sizes : Sizes
    rng : Generator
    """

    def __init__(self, sizes: Sizes, rng: np.random.Generator) -> None:
        self.sizes, self.rng = sizes, rng
        per_class = sizes.train + sizes.validation + sizes.test
        self.labels: Labels = np.repeat(np.arange(N_CLASSES), per_class)
        means = np.random.default_rng(0).normal(0, SEPARATION, (N_CLASSES, N_FEATURES))[self.labels]
        shared = rng.normal(0, np.sqrt(SHARED), means.shape)
        noise = rng.normal(0, np.sqrt(1 - SHARED), (3, *means.shape))
        self.measured = means + shared + noise

    def split(self) -> Split:
        """Draw training, validation and test objects of every class."""
        places = np.stack([self.rng.permutation(np.flatnonzero(self.labels == k)) for k in range(N_CLASSES)])
        first, second = self.sizes.train, self.sizes.train + self.sizes.validation
        return places[:, :first].ravel(), places[:, first:second].ravel(), places[:, second:].ravel()

    def train(self, model: int, train: Labels, combination: tuple[int, float] = COMBINATIONS[0]) -> Floats:
        """Train one classifier with a fresh seed; its scores of every object, shape (n, N_CLASSES)."""
        neurons, ridge = combination
        features = self.measured[model]
        weights = self.rng.normal(0, 1 / np.sqrt(N_FEATURES), (N_FEATURES + 1, neurons))
        hidden = np.maximum(features @ weights[1:] + weights[0], 0)
        inputs = np.concatenate([hidden, features, np.ones((len(hidden), 1))], axis=1)
        known, targets = inputs[train], np.eye(N_CLASSES)[self.labels[train]]
        return inputs @ np.linalg.solve(known.T @ known + ridge * np.eye(inputs.shape[1]), known.T @ targets)

    def accuracy(self, scores: Floats, objects: Labels) -> float:
        """Share of objects whose highest score is that of their class."""
        return float(np.mean(scores[objects].argmax(axis=1) == self.labels[objects]))


def run_search(world: World, model: int, split: Split) -> list[Floats]:
    """Train every combination five times; the repetitions of that with the best mean accuracy on validation."""
    train, validation, _ = split
    trained = [[world.train(model, train, c) for _ in range(THESIS_REPETITIONS)] for c in COMBINATIONS]
    means = [np.mean([world.accuracy(scores, validation) for scores in group]) for group in trained]
    return trained[int(np.argmax(means))]


def judge_world(world: World, margin: float) -> dict[str, bool]:
    """Run every procedure on one world; whether each finds what is not there.

    Parameters
    ----------
    world : World
    margin : float
        Of the equivalence tests, which get a model that is worse by exactly this much.

    Returns
    -------
    dict of bool
        By the procedure's name.
    """
    split = world.split()
    winners = [run_search(world, model, split) for model in (0, 1)]
    return {**_judge_repetitions(world, winners, split), **_judge_objects(world, winners, split)} | _judge_splits(
        world, margin
    )


def _judge_repetitions(world: World, winners: list[list[Floats]], split: Split) -> dict[str, bool]:
    validation, test = ([[world.accuracy(s, objects) for s in group] for group in winners] for objects in split[1:])
    thesis = welch_test(validation[0], validation[1], "less")
    return {
        THESIS: _small(thesis.p_value),
        "Welch over 5 seeds, two-sided, test": _small(welch_test(test[0], test[1], "two-sided").p_value),
    }


def _judge_objects(world: World, winners: list[list[Floats]], split: Split) -> dict[str, bool]:
    train, _, test = split
    labels = world.labels[test]
    first, second, third = winners[0][0], winners[1][0], world.train(2, train)
    right = np.stack([scores[test].argmax(axis=1) == labels for scores in (first, second, third)], axis=1)
    predicted = {str(m): np.stack([s[test].argmax(axis=1) for s in group]) for m, group in enumerate(winners)}
    drawn = bootstrap_scores(labels, predicted, N_CLASSES, resamples=RESAMPLES, seed=int(world.rng.integers(2**31)))
    p_values = [percentile_p(column) for column in (drawn["0"][1] - drawn["1"][1]).T]
    recalls = np.array(p_values[2:])
    return {
        "McNemar, test": _small(mcnemar_test(right[:, 0], right[:, 1]).p_value),
        "Cochran's Q of three, test": _small(cochran_test(right)[1]),
        "DeLong, SN against rest, test": _small(delong_test(labels == SN, first[test, SN], second[test, SN]).p_value),
        "bootstrap of macro-F1, test": _small(p_values[1]),
        "bootstrap of five recalls, any, uncorrected": bool((recalls < LEVEL).any()),
        # Holm's first step is Bonferroni's: it rejects something when the smallest p, times their number, is small
        "bootstrap of five recalls, any, Holm": bool(recalls.min() * recalls.size < LEVEL),
    }


def _judge_splits(world: World, margin: float) -> dict[str, bool]:
    accuracies = []
    for _ in range(world.sizes.splits):
        train, _, test = world.split()
        accuracies.append([world.accuracy(world.train(model, train), test) for model in (0, 1)])
    first, second = np.array(accuracies).T
    differences, share = first - second, world.sizes.test_share
    _, low, high = probability_better(first, second, resamples=RESAMPLES, seed=int(world.rng.integers(2**31)))
    return {
        "Welch over repeated splits": _small(welch_test(first, second, "two-sided").p_value),
        "paired t over repeated splits": _small(corrected_t_test(differences, 0).p_value),
        "corrected t over repeated splits": _small(corrected_t_test(differences, share).p_value),
        "P(A > B), interval without 1/2": low > 0.5 or high < 0.5,
        "equivalence (TOST), uncorrected": _small(equivalence_p(differences + margin, margin)),
        "equivalence (TOST), corrected": _small(equivalence_p(differences + margin, margin, share)),
    }


def _small(p_value: float) -> bool:
    return bool(p_value < LEVEL)  # NaN is not


def count_false_positives(sizes: Sizes, worlds: int, margin: float, seed: int) -> pd.DataFrame:
    """False-positive rate of every procedure at a nominal level of 5 %.

    Parameters
    ----------
    sizes : Sizes
    worlds : int
    margin : float
        Of the equivalence tests.
    seed : int

    Returns
    -------
    DataFrame
        procedure, worlds, found (how often), rate, low, high (Wilson's interval of 95 %), verdict ("holds its level",
        "too often", "cautious").
    """
    children = np.random.SeedSequence([seed, 11]).spawn(worlds)
    # the matrices are so small that threads only wait for each other; scipy warns where five seeds nearly agree
    with threadpool_limits(1), warnings.catch_warnings(action="ignore", category=RuntimeWarning):
        judged = [
            judge_world(World(sizes, np.random.default_rng(child)), margin)
            for child in tqdm(children, desc="worlds", unit="world")
        ]
    found = pd.DataFrame(judged).sum()
    low, high = proportion_confint(found.to_numpy(), worlds, method="wilson")
    table = pd.DataFrame({"procedure": found.index, "worlds": worlds, "found": found.to_numpy()})
    table = table.assign(rate=table["found"] / worlds, low=low, high=high)
    verdict = np.select([table["low"] > LEVEL, table["high"] < LEVEL], ["too often", "cautious"], "holds its level")
    return table.assign(verdict=verdict)


def judge_tests(params: Parameters) -> dict[str, pd.DataFrame]:
    """False-positive rates with the sizes of the thesis and with those of a run.

    Parameters
    ----------
    params : Parameters
        null_worlds, equivalence_margin, seed, repeated_splits, and the sizes.

    Returns
    -------
    dict of DataFrame
        Of `count_false_positives`, by title.
    """
    thesis = Sizes(TRAIN_LIMIT, 200, 100, params.repeated_splits)
    options = {"worlds": params.null_worlds, "margin": params.equivalence_margin, "seed": params.seed}
    sizes = {"sizes of the thesis": thesis, "sizes of this run": choose_sizes(params)}
    return {title: count_false_positives(size, **options) for title, size in sizes.items()}  # type: ignore[arg-type]


def describe_rates(rates: dict[str, pd.DataFrame], procedure: str = THESIS) -> list[str]:
    """Say how often a procedure finds a false difference, one sentence a table of `judge_tests`."""
    rows = {title: table.set_index("procedure").loc[procedure] for title, table in rates.items()}
    return [
        f"{title}: {procedure}: {row['rate']:.0%} false differences ({row['low']:.0%} to {row['high']:.0%})"
        for title, row in rows.items()
    ]
