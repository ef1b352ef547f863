"""Welch's test: the thesis's numbers, scipy on samples, and what happens when the test is undefined."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from twostamp.analysis.model_comparison import make_thesis_table
from twostamp.evaluation.hypothesis_tests import compare_models, summarise_p, welch_from_statistics, welch_test


@pytest.mark.parametrize(
    ("comparison", "ddof_0", "ddof_1"),
    [("M0 < M1", 1.742e-5, 8.07e-6), ("M0 < M2", 2.746e-4, 1.698e-4), ("M2 < M1", 2.687e-2, 1.889e-2)],
)
def test_printed_means_give_the_p_of_decision_t6(comparison, ddof_0, ddof_1):
    table = make_thesis_table().query("set == 'validation'").set_index("comparison")
    assert table.loc[comparison, "one-sided, ddof 0"] == pytest.approx(ddof_0, rel=1e-3)
    assert table.loc[comparison, "one-sided, ddof 1"] == pytest.approx(ddof_1, rel=1e-3)


def test_stacked_and_separated_do_not_differ_on_the_thesis_test_set():
    row = make_thesis_table().query("set == 'test' and comparison == 'M2 < M1'").iloc[0]
    assert row["two-sided, ddof 0"] == pytest.approx(0.188, abs=5e-4)
    assert row["two-sided, ddof 1"] == pytest.approx(0.148, abs=5e-4)
    assert math.isnan(row["printed"])


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
    assert summarise_p(result.p_value, result.reason) == f"undefined: {result.reason}"


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


def test_comparison_corrects_defined_pairs_and_skips_absent_models():
    samples = {"M0": [0.90, 0.91, 0.92], "M1": [0.95, 0.96, 0.97], "M2": [0.94]}
    table = compare_models(samples, [("M0", "M1"), ("M0", "M2"), ("M3", "M1")])
    assert table["comparison"].tolist() == ["M0 < M1", "M0 < M2"]
    assert table["two-sided p, Holm"].iloc[0] == pytest.approx(table["two-sided p"].iloc[0])
    assert math.isnan(table["two-sided p, Holm"].iloc[1])
    assert table["difference"].iloc[0] == pytest.approx(0.05)
