"""The tables of notebook 10, on scores and predictions that are made up."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from twostamp.analysis import significance
from twostamp.evaluation.bootstrap import Bootstrap
from twostamp.evaluation.predictions import Predictions
from twostamp.plots.significance import plot_comparisons, plot_false_positives

CLASSES = ("AGN", "SN", "VS", "asteroid", "bogus")
BOOTSTRAP = Bootstrap(200, seed=0)


def make_predictions(skill, n=200, repetitions=2, seed=0):
    """Predictions whose share of right answers is about the skill of each model."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % len(CLASSES)
    probabilities = {}
    for model, right in skill.items():
        answers = np.where(rng.random((repetitions, n)) < right, labels, rng.integers(0, 5, (repetitions, n)))
        values = 0.1 * rng.random((repetitions, n, 5)) + 0.6 * np.eye(5)[answers]
        probabilities[model] = values / values.sum(axis=2, keepdims=True)
    return Predictions(labels, CLASSES, probabilities)


def make_scores(means, n=10, std=0.005, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame({model: rng.normal(mean, std, n) for model, mean in means.items()})


def run_all(scores, predictions):
    splits = significance.compare_on_splits(scores, 0.2, 0.02)
    objects = significance.compare_on_objects(predictions)
    return significance.correct_all(splits, objects, significance.compare_scores(predictions, BOOTSTRAP)), splits


def test_clear_differences_make_the_claims_stand_and_their_opposites_fall():
    scores = make_scores({"M0": 0.80, "M1": 0.90, "M2": 0.70})
    everything, splits = run_all(scores, make_predictions({"M0": 0.8, "M1": 0.95, "M2": 0.7}))
    claims = significance.check_claims(everything, splits, 200)
    assert claims["verdict"].tolist() == ["stands", "falls", "stands", "falls"]
    few, splits = run_all(scores[:4], make_predictions({"M0": 0.8, "M1": 0.95, "M2": 0.7}))
    assert set(significance.check_claims(few, splits, 200)["verdict"]) == {"undecided"}


def test_equal_models_are_equivalent_and_nothing_else():
    scores = make_scores({"M0": 0.90, "M1": 0.90, "M2": 0.90})
    everything, splits = run_all(scores, make_predictions({"M0": 0.9, "M1": 0.9, "M2": 0.9}))
    claims = significance.check_claims(everything, splits, 200)
    assert claims["verdict"].tolist() == ["undecided"] * 3 + ["stands"]
    assert splits.set_index("comparison").loc["M2 < M1", "within"] == "equivalent"


def test_holm_runs_over_each_family_and_never_lowers_a_p():
    everything, _ = run_all(
        make_scores({"M0": 0.8, "M1": 0.9, "M2": 0.9}),
        make_predictions({"M0": 0.8, "M1": 0.9, "M2": 0.9}),
    )
    kinds = [
        "corrected t, accuracy",
        "McNemar",
        "DeLong, SN against rest",
        "exchange, macro-F1",
        "exchange, recall SN",
    ]
    assert set(kinds) <= set(everything["test"])
    assert "exchange, accuracy" not in set(everything["test"])
    assert len(everything) == 3 * (1 + 2 + 6) + 1
    assert (everything["p (Holm)"] >= everything["p"]).all()
    for family, size in (("primary", 3), ("secondary", 3 * (2 + 6) + 1)):
        part = everything[everything["family"] == family]
        assert len(part) == size
        assert part["p"].is_monotonic_increasing
        assert part["p (Holm)"].iloc[0] == pytest.approx(min(1, part["p"].iloc[0] * size))


def test_the_sign_is_second_minus_first_everywhere():
    everything, _ = run_all(make_scores({"M0": 0.6, "M1": 0.9}), make_predictions({"M0": 0.6, "M1": 0.95}))
    assert (everything["difference"] > 0).all()
    assert set(everything["comparison"]) == {"M0 < M1"}


def test_a_run_with_one_model_says_that_nothing_was_tested():
    scores, predictions = make_scores({"M0": 0.6}), make_predictions({"M0": 0.6})
    everything, splits = run_all(scores, predictions)
    assert everything.empty
    assert set(significance.check_claims(everything, splits, 200)["verdict"]) == {"not tested"}
    assert math.isnan(significance.measure_likeness(predictions))
    spreads = significance.measure_spreads(scores, predictions)
    assert math.isnan(spreads["split_std"])
    assert math.isnan(spreads["discordant"])
    figure = plot_comparisons(scores, everything)
    assert [text.get_text() for text in figure.axes[1].texts] == ["no two models to compare"]
    plt.close(figure)


def test_spreads_are_the_largest_of_the_pairs():
    scores = pd.DataFrame({"M0": [0.1, 0.2], "M1": [0.3, 0.4], "M2": [0.5, 0.9]})
    answers = np.array([[[0, 0, 0, 0], [0, 0, 0, 1]], [[0, 0, 1, 1], [0, 1, 0, 1]]])
    predictions = Predictions(np.zeros(4, int), CLASSES, dict(zip(("M0", "M1"), np.eye(5)[answers])))
    spreads = significance.measure_spreads(scores, predictions)
    assert spreads["split_std"] == pytest.approx(np.std([0.4, 0.7], ddof=1))
    assert spreads["seed_std"] == pytest.approx(np.std([1, 0.75], ddof=1))
    assert spreads["discordant"] == 0.5
    one = make_predictions({"M0": 0.8}, repetitions=1)
    assert math.isnan(significance.measure_spreads(scores, one)["seed_std"])


def test_the_thesis_own_differences_can_bear_little():
    limits = significance.limit_discordance().set_index(["set", "comparison"])
    # 7 of 500 test objects: with 9 discordant ones (8 : 1) p = 0.04, with 11 (9 : 2) p = 0.07
    assert limits.loc[("test", "M0 < M1"), "objects"] == 7
    assert limits.loc[("test", "M0 < M1"), "discordant objects at most"] == 9
    assert limits.loc[("test", "M0 < M2"), "discordant objects at most"] == 0
    assert limits.loc[("validation", "M0 < M1"), "share at most"] > 0.1


def test_curves_of_a_class_have_scikit_learns_areas_within_their_intervals():
    predictions = make_predictions({"M0": 0.6, "M1": 0.9})
    table = significance.tabulate_curves(predictions, BOOTSTRAP)
    assert len(table) == 2 * 5
    for row in table.to_dict("records"):
        column = CLASSES.index(row["class"])
        values = predictions.probabilities[row["model"]][..., column]
        assert row["area"] == pytest.approx(np.mean([roc_auc_score(predictions.labels == column, v) for v in values]))
        assert row["low"] <= row["area"] <= row["high"]
        assert row["precision low"] <= row["precision"] <= row["precision high"]


def test_models_that_are_right_together_are_alike():
    same = make_predictions({"M1": 0.7})
    twice = Predictions(same.labels, CLASSES, {"M1": same.probabilities["M1"], "M2": same.probabilities["M1"]})
    assert significance.measure_likeness(twice) == pytest.approx(1)
    assert abs(significance.measure_likeness(make_predictions({"M1": 0.7, "M2": 0.7}))) < 0.3


def test_figures_draw_every_row():
    everything, _ = run_all(
        make_scores({"M0": 0.8, "M1": 0.9, "M2": 0.9}),
        make_predictions({"M0": 0.8, "M1": 0.9, "M2": 0.9}),
    )
    figure = plot_comparisons(make_scores({"M0": 0.8, "M1": 0.9, "M2": 0.9}), everything)
    assert len(figure.axes[1].get_yticks()) == 3
    plt.close(figure)
    table = pd.DataFrame({"procedure": ["a", "b"], "rate": [0.05, 0.4], "low": [0.0, 0.3], "high": [0.1, 0.5]})
    figure = plot_false_positives({"x": table.assign(verdict=["holds its level", "too often"])})
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["a", "b"]
    plt.close(figure)


def draw_answers(seed, n=60, repetitions=2, classes=3):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % classes)
    predicted = np.where(rng.random((repetitions, n)) < 0.7, labels, rng.integers(0, classes, (repetitions, n)))
    return labels, predicted


def compare_resampled(labels, predicted):
    probabilities = {model: np.eye(3)[values] for model, values in predicted.items()}
    return significance.compare_scores(Predictions(labels, ("AGN", "SN", "VS"), probabilities), Bootstrap(300, seed=2))


def test_models_share_their_resamples_and_equal_ones_do_not_differ():
    labels, predicted = draw_answers(3)
    table = compare_resampled(labels, {"M0": predicted, "M1": predicted[::-1]})
    assert set(table["comparison"]) == {"M0 < M1"}
    assert table["score"].tolist() == ["accuracy", "macro-F1", "recall AGN", "recall SN", "recall VS"]
    assert (table[["difference", "low", "high"]].abs().to_numpy() < 1e-12).all()
    assert (table["p"] > 0.9).all()


def test_a_better_model_is_found_and_the_sign_is_second_minus_first():
    labels, predicted = draw_answers(4, n=300)
    table = compare_resampled(labels, {"M0": predicted, "M1": labels[None]})
    assert (table["low"] > 0).all()
    assert (table["p"] <= 1 / 301).all()
