"""The stability index: what it is, and what it shows without any drift."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import entropy

from twostamp.evaluation.drift import count_bins, expect_psi, measure_psi, psi

counts = hnp.arrays(np.int64, 6, elements=st.integers(0, 500))


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


def test_the_index_expected_of_these_sizes_is_what_objects_without_drift_show():
    rng = np.random.default_rng(4)
    batch, shown = np.repeat([0, 1, 2], [1000, 200, 50]), []
    for _ in range(60):
        counts = count_bins(rng.normal(size=(1250, 1)), batch, 3, 1)
        shown.append(measure_psi(counts, 1)[:, 0])
    assert expect_psi(counts, 1)[:, 0] == pytest.approx(np.mean(shown, axis=0), rel=0.25)
