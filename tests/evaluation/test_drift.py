"""Stability index and alarm: what the index is, and that the alarm's promise holds over all features and batches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import entropy

from twostamp.evaluation.drift import (
    Alarm,
    StationaryModel,
    calibrate_alarm,
    check_alarm,
    count_bins,
    count_false_alarms,
    measure_psi,
    psi,
)

counts = hnp.arrays(np.int64, 6, elements=st.integers(0, 500))
SIZES = [60] * 4 + [25, 40] * 4
NAMES = ("a", "b", "c")


def draw_stationary(rng, n=240, batches=4, spread=0.0):
    """Three features, correlated, one of them discrete; batches differ by `spread`."""
    batch = np.repeat(np.arange(batches), n // batches)
    common = rng.normal(size=len(batch)) + spread * rng.normal(size=batches)[batch]
    return np.column_stack([common, common + rng.normal(size=len(batch)), rng.integers(0, 2, len(batch))]), batch


def measure(features, batch, n_batches, n_reference):
    return measure_psi(count_bins(features, batch, n_batches, n_reference), n_reference)


@given(counts)
def test_equal_counts_have_no_index(values):
    assert psi(values, values) == 0


@given(counts, counts)
def test_the_index_is_symmetric_and_never_negative(first, second):
    assert psi(first, second) == pytest.approx(psi(second, first))
    assert psi(first, second) >= 0
    assert np.isfinite(psi(first, second))


@given(st.permutations(range(6)), counts, counts)
def test_the_order_of_the_bins_does_not_matter(order, first, second):
    assert psi(first[list(order)], second[list(order)]) == pytest.approx(psi(first, second))


def test_it_is_jeffreys_divergence_of_large_counts():
    first, second = np.array([400, 300, 200, 100]) * 10**6, np.array([100, 200, 300, 400]) * 10**6
    assert psi(first, second) == pytest.approx(entropy(first, second) + entropy(second, first), abs=1e-6)


def test_bins_empty_on_both_sides_do_not_count():
    assert psi([5, 0, 9, 0], [2, 0, 7, 0]) == psi([5, 9], [2, 7])


def test_bins_are_deciles_and_count_everything_once():
    values = np.random.default_rng(1).normal(size=(1000, 1))
    found = count_bins(values, np.zeros(1000, int), 1, 1)
    assert found[0, 0, :-1].tolist() == [100] * 10
    assert found.sum() == 1000


def test_equal_values_share_a_bin():
    found = count_bins([[0, 1.0], [0, 2], [1, 3], [1, 4]], np.zeros(4, int), 1, 1)
    assert found[0, 0].tolist() == [2, 2, 0, 0, 0, 0]
    assert found[0, 1, :4].tolist() == [1, 1, 1, 1]


def test_missing_values_and_discrete_features_have_bins():
    values = np.array([[0.0, 1.0], [1.0, np.nan], [1.0, np.nan], [0.0, 3.0]])
    found = count_bins(values, np.array([0, 0, 1, -1]), 2, 2)
    assert found.sum(axis=2).tolist() == [[2, 2], [1, 1]]
    assert found[:, 1, -1].tolist() == [1, 1]
    assert psi([2, 2], [4, 4]) < 0.01


def test_an_empty_batch_has_no_index():
    values, batch = np.arange(20.0)[:, None], np.repeat([0, 2], 10)
    assert np.isnan(measure(values, batch, 3, 1)[:, 0]).tolist() == [True, False]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_the_index_grows_with_the_shift(seed):
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.normal(size=3000), *(rng.normal(shift, 1, 3000) for shift in (0, 0.5, 2))])
    index = measure(values[:, None], np.repeat(np.arange(4), 3000), 4, 1)[:, 0]
    assert index[0] < 0.02 < index[1] < index[2]


def test_the_customary_limit_cries_wolf_on_small_batches():
    rng = np.random.default_rng(3)
    index = measure(rng.normal(size=(3000, 1)), np.repeat(np.arange(60), [1000] + [34] * 58 + [28]), 60, 1)
    assert (index > 0.25).mean() > 0.2


def test_the_model_keeps_what_it_was_fitted_to():
    rng = np.random.default_rng(2)
    features, batch = draw_stationary(rng, 2000, 10, spread=0.6)
    model = StationaryModel.fit(features, batch)
    drawn, groups = model.draw([200] * 200, rng)
    assert set(np.unique(drawn[:, 2])) == {0, 1}
    within = [np.corrcoef(drawn[groups == group, :2].T)[0, 1] for group in range(200)]
    assert np.mean(within) == pytest.approx(np.sqrt(0.5), abs=0.05)
    assert np.quantile(drawn[:, 0], [0.1, 0.9]) == pytest.approx(np.quantile(features[:, 0], [0.1, 0.9]), abs=0.3)
    means = [drawn[groups == group, 0].mean() for group in range(200)]
    assert 0.3 < np.std(means) < 1.0
    assert model.spread[2] < 0.2


def test_a_trend_through_the_reference_is_not_taken_for_weather():
    rng = np.random.default_rng(4)
    batch = np.repeat(np.arange(6), 100)
    model = StationaryModel.fit(np.column_stack([batch + rng.normal(size=600)]), batch)
    assert model.spread[0] < 0.15


def test_a_reference_without_batches_is_refused():
    with pytest.raises(ValueError, match="give 3 or more"):
        StationaryModel.fit(np.ones((4, 1)), [0, 0, 1, 1])


@pytest.fixture(scope="module")
def alarm():
    model = StationaryModel.fit(*draw_stationary(np.random.default_rng(5), spread=0.3))
    return calibrate_alarm(model, SIZES, 4, NAMES, surveys=400, seed=1), model


def test_at_most_five_per_cent_of_stationary_surveys_ring(alarm):
    checked = check_alarm(*alarm, SIZES, surveys=400, seed=1).set_index("what")
    assert checked.loc["surveys", "low"] <= 0.05
    assert checked.loc["surveys", "share"] < 0.08
    assert checked.loc["batches", "share"] <= checked.loc["surveys", "share"]
    assert checked["n"].tolist() == [400, 3200]


def test_the_promise_holds_on_surveys_that_the_model_did_not_make():
    """Each survey is drawn from the truth, sets its own alarm on its own reference, and is watched."""
    rings = []
    for seed in range(60):
        rng = np.random.default_rng([seed, 9])
        features, batch = draw_stationary(rng, 720, 12)
        known = batch < 4
        model = StationaryModel.fit(features[known], batch[known])
        own = calibrate_alarm(model, [60] * 12, 4, NAMES, surveys=60, seed=seed)
        rings.append(own.excess(measure(features, batch, 12, 4)) > 1)
    checked = count_false_alarms(rings).set_index("what")
    assert checked.loc["surveys", "low"] <= 0.05


def test_a_drift_of_one_feature_rings(alarm):
    alarm, model = alarm
    features, batch = model.draw(SIZES, np.random.default_rng(6))
    assert alarm.first(measure(features, batch, len(SIZES), 4)) == -1
    features[batch >= 8, 1] += 5
    assert alarm.first(measure(features, batch, len(SIZES), 4)) == 4


def test_an_alarm_of_many_surveys_at_once():
    alarm = Alarm(("a",), np.array([[1.0], [2.0]]), 1)
    assert alarm.first([[[0.5], [1.5]], [[0.5], [2.5]], [[np.nan], [np.nan]]]).tolist() == [-1, 1, -1]
