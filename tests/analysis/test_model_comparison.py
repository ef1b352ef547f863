"""The thesis's tests from its printed numbers, and those of a run."""

import math

import pytest

from twostamp.analysis.model_comparison import compare_models, make_thesis_table, summarise_p
from twostamp.evaluation.hypothesis_tests import welch_test


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


def test_comparison_corrects_defined_pairs_and_skips_absent_models():
    samples = {"M0": [0.90, 0.91, 0.92], "M1": [0.95, 0.96, 0.97], "M2": [0.94]}
    table = compare_models(samples, [("M0", "M1"), ("M0", "M2"), ("M3", "M1")])
    assert table["comparison"].tolist() == ["M0 < M1", "M0 < M2"]
    assert table["two-sided p, Holm"].iloc[0] == pytest.approx(table["two-sided p"].iloc[0])
    assert math.isnan(table["two-sided p, Holm"].iloc[1])
    assert table["difference"].iloc[0] == pytest.approx(0.05)


def test_an_undefined_p_is_written_with_its_reason():
    result = welch_test([0.9], [0.8, 0.7])
    assert summarise_p(result.p_value, result.reason) == f"undefined: {result.reason}"
