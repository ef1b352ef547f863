"""Baselines on metadata: what each sees, and how often it is fitted."""

import numpy as np
import pytest

from twostamp.data.arrays import Arrays
from twostamp.inspection.baselines import ALERTS, BASELINES, name_baseline, predict_baseline, predict_baselines


def make_arrays(n=60, informative=2, seed=1):
    """Metadata of which one alert, the first or the second, knows the class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    metadata = [rng.normal(size=(n, 26)) for _ in range(2)]
    metadata[informative - 1][:, 0] += 4 * labels
    nothing = np.zeros((n, 1))
    return Arrays(nothing, nothing, *metadata, nothing, labels, np.arange(n).astype(str))


def test_every_baseline_sees_one_alert_or_both():
    found = predict_baselines(make_arrays(), {"test": make_arrays(seed=2)}, ("a", "b", "c"), repetitions=2, seed=1)[
        "test"
    ]
    assert list(found.probabilities) == [name_baseline(b, a) for b in BASELINES for a in ALERTS]
    for baseline in BASELINES:
        one, two = (found.accuracy(name_baseline(baseline, alerts)) for alerts in ALERTS)
        assert one < 0.6 < 0.8 < two
        assert found.probabilities[name_baseline(baseline, ALERTS[0])].shape == (2, 60, 3)


def test_first_alerts_alone_have_no_second():
    alone = make_arrays().first_alone()
    found = predict_baselines(alone, {"test": alone}, ("a", "b", "c"), repetitions=1, seed=1)["test"]
    assert list(found.probabilities) == [name_baseline(baseline, ALERTS[0]) for baseline in BASELINES]


@pytest.mark.parametrize("baseline", BASELINES)
def test_seeds_move_the_forest_alone(baseline):
    (answers,) = predict_baseline(baseline, make_arrays(), [make_arrays(seed=2)], [1, 2])
    assert (answers[0] == answers[1]).all() == (baseline != "random forest")
    (again,) = predict_baseline(baseline, make_arrays(), [make_arrays(seed=2)], [1, 2])
    assert (answers == again).all()
