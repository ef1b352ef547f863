"""Baselines on metadata alone, of one alert and of two: what a network with stamps has to beat (not in the thesis)."""

from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from tqdm.auto import tqdm

from twostamp.data.arrays import Arrays
from twostamp.evaluation.predictions import Predictions
from twostamp.inspection.forest import stack_metadata
from twostamp.utils.typing import Floats

_TREES = 200
BASELINES: dict[str, Any] = {
    "logistic regression": lambda seed: LogisticRegression(max_iter=2000, random_state=seed),
    "random forest": lambda seed: RandomForestClassifier(_TREES, random_state=seed),
    "gradient boosting": lambda seed: HistGradientBoostingClassifier(max_iter=100, random_state=seed),
}
ALERTS = ("one alert", "two alerts")


def name_baseline(baseline: str, alerts: str) -> str:
    """Name a baseline and what it sees.

    Examples
    --------
    >>> name_baseline("random forest", "two alerts")
    'random forest, metadata of two alerts'
    """
    return f"{baseline}, metadata of {alerts}"


def predict_baseline(baseline: str, train: Arrays, test: Arrays, seeds: list[int]) -> Floats:
    """Fit a baseline once with each seed and predict; shape (seeds, n, classes).

    Both sets have metadata of one list; all classes are in the first. A fit that takes no seed is made once and counts
    for each: nothing about it varies but the objects.
    """
    x, x_test = stack_metadata(train), stack_metadata(test)
    drawn = seeds if baseline == "random forest" else seeds[:1]
    found = [BASELINES[baseline](seed).fit(x, train.labels).predict_proba(x_test) for seed in drawn]
    return np.stack(found * (len(seeds) // len(drawn))).astype(float)


def predict_baselines(
    train: Arrays, test: Arrays, classes: tuple[str, ...], repetitions: int, seed: int
) -> Predictions:
    """Predict the test objects by every baseline, with one alert and, where there are second alerts, with two.

    Parameters
    ----------
    train, test : Arrays
        With metadata of one list.
    classes : tuple of str
    repetitions : int
        Seeds of each.
    seed : int
    """
    seeds = np.random.SeedSequence([seed, 5]).generate_state(repetitions).tolist()
    views = {ALERTS[0]: (train.first_alone(), test.first_alone()), ALERTS[1]: (train, test)}
    if train.metadata_2 is None:
        del views[ALERTS[1]]
    found = {}
    for baseline in tqdm(BASELINES, desc="baselines"):
        for alerts, (known, new) in views.items():
            found[name_baseline(baseline, alerts)] = predict_baseline(baseline, known, new, seeds)
    return Predictions(np.asarray(test.labels), classes, found)
