"""The thesis's tests from its printed numbers, and those of a run."""

import math

import numpy as np
import pandas as pd
import pytest

from twostamp.analysis.model_comparison import (
    compare_baselines,
    compare_models,
    compare_winners,
    list_printed_p,
    make_summary,
    make_thesis_table,
    summarise_two_stamps,
)
from twostamp.evaluation.bootstrap import Bootstrap
from twostamp.evaluation.predictions import Predictions


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
    for sides in ("one-sided", "two-sided"):
        assert table[f"{sides} p, Holm"].iloc[0] == pytest.approx(table[f"{sides} p"].iloc[0])
    assert math.isnan(table["two-sided p, Holm"].iloc[1])
    assert table["difference"].iloc[0] == pytest.approx(0.05)


def test_verdicts_are_of_corrected_p_and_fewer_than_five_repetitions_have_none():
    low, high = [0.90, 0.91, 0.92, 0.93, 0.94], [0.93, 0.94, 0.95, 0.96, 0.97]
    table = compare_models({"a": low, "b": high, "c": high[:2]}, [("a", "b"), ("b", "a"), ("a", "c")])
    p = 3 * table["one-sided p"][0]
    assert table["one-sided p, Holm"][0] == pytest.approx(p)
    assert table["one-sided verdict"][0] == f"significant at 0.05 (p = {p:.2g} after Holm)"
    assert table["one-sided verdict"][1].startswith("not significant at 0.05 (p = ")
    assert table["two-sided verdict"][2] == "n = 2: not decided"


def test_equal_repetitions_are_undecided_with_the_reason():
    table = compare_models({"a": [0.9] * 5, "b": [0.9] * 5}, [("a", "b")])
    assert table["two-sided verdict"].tolist() == ["undefined: neither sample has any spread"]


def test_printed_p_has_the_size_of_its_samples():
    winners = pd.DataFrame({"variant": ["stamp_23", "stacked"], "validation_values": [[0.7, 0.8], [0.9, 0.95]]})
    rows = list_printed_p(compare_winners(winners, "validation"))
    assert [title.split(", ")[1] for title, *_ in rows] == [
        "stamp < stacked (validation)",
        "stamp < separated (validation)",
        "stacked against separated (validation)",
    ]
    assert [p is None for _, p, _ in rows] == [False, True, True]
    assert rows[0][2] == "n = 2, 2: not decided"


def test_a_classifier_of_ones_own_is_compared_with_those_of_as_many_alerts():
    variants = ["stamp_26", "stacked", "separated", "stacked_drift_safe", "stamp_drift_safe"]
    accuracies = [0.70, 0.72, 0.74, 0.76, 0.78]
    winners = pd.DataFrame({"variant": variants, "test_values": [accuracies] * 5, "validation_mean": 0.74})
    test = compare_winners(winners, "test")
    assert test["comparison"].tolist()[3:] == [
        "M1 < stacked_drift_safe",
        "M2 < stacked_drift_safe",
        "M0 (26) < stamp_drift_safe",
    ]
    assert len(summarise_two_stamps(winners, test)) == 2
    measured = {f"{split}_{kind}": 0.74 for split in ("validation", "test") for kind in ("mean", "std", "values")}
    timed = winners.assign(**measured, n=5, mean=1.0, std=0.1, repeats=3, median=1.0, p99=1.0)
    assert make_summary(timed, compare_winners(winners, "test"))["model"].tolist()[3:5] == [
        "stacked_drift_safe, ours",
        "stamp_drift_safe, ours",
    ]


def test_networks_are_compared_with_baselines_that_see_as_many_alerts():
    labels = np.arange(200) % 4
    answers = {
        "right": np.repeat(labels[None], 5, axis=0),
        "wrong": np.where(np.arange(200) % 5 == 0, (labels + 1) % 4, labels)[None].repeat(5, axis=0),
    }

    def make(names):
        return Predictions(labels, tuple("abcd"), {name: np.eye(4)[answers[how]] for name, how in names.items()})

    networks = make({"M0 (26)": "wrong", "M1": "right"})
    baselines = make({"forest, metadata of one alert": "wrong", "forest, metadata of two alerts": "right"})
    table = compare_baselines(networks, baselines, Bootstrap(200, seed=1)).set_index("claim")
    assert table["verdict"].to_dict() == {
        "M0 (26) minus forest, metadata of one alert": "undecided",
        "M1 minus forest, metadata of two alerts": "undecided",
        "forest: gain of the second alert": "gains",
    }
    assert table.loc["forest: gain of the second alert", "p"] < 1e-6


def test_only_a_baseline_with_a_seed_has_a_spread_in_the_summary():
    predicted = np.full((5, 10, 4), 0.25)
    names = ("random forest, metadata of one alert", "logistic regression, metadata of one alert")
    baselines = Predictions(np.zeros(10, int), tuple("abcd"), dict.fromkeys(names, predicted))
    summary = make_summary(pd.DataFrame({"variant": []}), pd.DataFrame(columns=["comparison"]), {"test": baselines})
    assert summary["model"].tolist() == [f"{name}, ours" for name in names]
    assert summary["n"].tolist() == [5, 1]
    assert ["±" in shown for shown in summary["accuracy test"]] == [True, False]


def test_what_cannot_be_compared_has_no_row_in_the_summary():
    shipped = Predictions(np.zeros(10, int), tuple("abcd"), {"shipped": np.full((1, 10, 4), 0.25)})
    nothing = Predictions(np.zeros(10, int), tuple("abcd"), {})
    empty = pd.DataFrame({"variant": []}), pd.DataFrame(columns=["comparison"])
    assert make_summary(*empty, {"test": nothing}, {"test": shipped})["model"].tolist() == ["shipped, ours"]
    assert make_summary(*empty, {"test": nothing}, {}).empty
