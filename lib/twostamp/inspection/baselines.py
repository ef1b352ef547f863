"""Baselines on metadata alone, of one alert and of two, which a network with stamps must beat (not in the thesis)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from twostamp.data.arrays import Arrays
from twostamp.evaluation.predictions import Predictions
from twostamp.inspection.forest import stack_metadata
from twostamp.utils.typing import Floats

_TREES = 100
BASELINES: dict[str, Any] = {
    "logistic regression": lambda seed: LogisticRegression(max_iter=2000, random_state=seed),
    "random forest": lambda seed: RandomForestClassifier(_TREES, random_state=seed),
    "gradient boosting": lambda seed: HistGradientBoostingClassifier(max_iter=100, random_state=seed),
}
RANDOM = "random forest"
"""The baseline that another seed changes; one fit of each other tells all."""
ALERTS = ("one alert", "two alerts")


def name_baseline(baseline: str, alerts: str) -> str:
    """Name a baseline and its inputs.

    Examples
    --------
    >>> name_baseline("random forest", "two alerts")
    'random forest, metadata of two alerts'
    """
    return f"{baseline}, metadata of {alerts}"


def predict_baseline(baseline: str, train: Arrays, tests: Sequence[Arrays], seeds: Sequence[int]) -> list[Floats]:
    """Fit a baseline once with each seed and predict every test set; each of shape (seeds, n, classes).

    All sets have metadata of one list; the first has all classes. A fit without a seed is made once and used for every
    seed, since it depends on the objects alone.
    """
    drawn = list(seeds) if baseline == RANDOM else list(seeds[:1])
    with threadpool_limits(1):  # with some thousand objects, threads only wait for each other
        fitted = [BASELINES[baseline](seed).fit(stack_metadata(train), train.labels) for seed in drawn]
    repeats = len(seeds) // len(drawn)
    return [
        np.stack([model.predict_proba(stack_metadata(test)) for model in fitted] * repeats).astype(float)
        for test in tests
    ]


def predict_baselines(
    train: Arrays, tests: Mapping[str, Arrays], classes: tuple[str, ...], repetitions: int, seed: int
) -> dict[str, Predictions]:
    """Predict test sets with every baseline, from one alert and, if there are second alerts, from two.

    Parameters
    ----------
    train : Arrays
    tests : mapping of str to Arrays
        Test sets by name, with metadata of the same list.
    classes : tuple of str
    repetitions : int
        Number of seeds of each baseline.
    seed : int

    Returns
    -------
    dict of Predictions
        Predictions by test set.
    """
    seeds = np.random.SeedSequence([seed, 5]).generate_state(repetitions).tolist()
    found: dict[str, dict[str, Floats]] = {split: {} for split in tests}
    for baseline in tqdm(BASELINES, desc="baselines"):
        for alerts in ALERTS if train.metadata_2 is not None else ALERTS[:1]:
            known, *new = (each if alerts == ALERTS[1] else each.first_alone() for each in (train, *tests.values()))
            for split, answers in zip(tests, predict_baseline(baseline, known, new, seeds), strict=True):
                found[split][name_baseline(baseline, alerts)] = answers
    return {split: Predictions(np.asarray(tests[split].labels), classes, each) for split, each in found.items()}
