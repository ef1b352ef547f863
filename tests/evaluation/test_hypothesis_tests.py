"""Welch's test: scipy on samples, and what happens when the test is undefined."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from twostamp.evaluation.hypothesis_tests import welch_from_statistics, welch_test


@pytest.mark.parametrize("alternative", ["less", "greater", "two-sided"])
@pytest.mark.parametrize("ddof", [0, 1])
def test_statistics_give_what_the_samples_give(alternative, ddof):
    rng = np.random.default_rng(1)
    a, b = rng.normal(0.92, 0.01, 5), rng.normal(0.93, 0.003, 7)
    ours = welch_from_statistics(a.mean(), a.std(ddof=ddof), 5, b.mean(), b.std(ddof=ddof), 7, ddof=ddof,
                                 alternative=alternative)  # fmt: skip
    assert ours.p_value == pytest.approx(welch_test(a, b, alternative).p_value)
    assert ours.p_value == pytest.approx(stats.ttest_ind(a, b, equal_var=False, alternative=alternative).pvalue)


@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        ([0.9], [0.8, 0.7], "variance needs two"),
        ([], [0.8, 0.7], "0 value"),
        ([0.9, 0.9], [0.8, 0.8], "spread"),
    ],
)
def test_undefined_is_nan_with_its_reason(a, b, reason):
    result = welch_test(a, b)
    assert math.isnan(result.p_value)
    assert reason in result.reason


@pytest.mark.filterwarnings("ignore:Precision loss")
def test_one_sample_without_spread_is_defined():
    assert welch_test([0.9, 0.9], [0.95, 0.96]).p_value < 0.1
    assert not welch_from_statistics(0.9, 0, 5, 0.95, 0.01, 5, ddof=0).reason


accuracies = st.lists(st.integers(0, 150).map(lambda right: right / 150), min_size=2, max_size=8)


@pytest.mark.filterwarnings("ignore:Precision loss")
@given(accuracies, accuracies)
def test_the_two_sides_add_to_one(a, b):
    less, greater = welch_test(a, b, "less"), welch_test(a, b, "greater")
    assert bool(less.reason) == math.isnan(less.p_value)
    if not less.reason:
        assert less.p_value + greater.p_value == pytest.approx(1)
        assert welch_test(a, b, "two-sided").p_value == pytest.approx(2 * min(less.p_value, greater.p_value))
