import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import confusion_matrix, f1_score, recall_score

from twostamp.evaluation.bootstrap import (
    bootstrap_scores,
    compare_scores,
    draw_weights,
    percentile_p,
    score_confusions,
    weigh_confusions,
)


def answers(seed, n=60, repetitions=2, classes=3):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % classes)
    predicted = np.where(rng.random((repetitions, n)) < 0.7, labels, rng.integers(0, classes, (repetitions, n)))
    return labels, predicted


@given(st.integers(0, 1000))
def test_every_class_keeps_its_number_of_objects(seed):
    labels = np.random.default_rng(seed).integers(0, 4, 30)
    weights = draw_weights(labels, 20, seed)
    for label in np.unique(labels):
        assert (weights[:, labels == label].sum(axis=1) == (labels == label).sum()).all()


@given(st.integers(0, 1000))
def test_scores_are_scikit_learns(seed):
    labels, predicted = answers(seed)
    weights = draw_weights(labels, 3, seed)
    confusions = weigh_confusions(labels, predicted, weights, 3)
    for b, r in np.ndindex(3, 2):
        options = {"sample_weight": weights[b]}
        assert confusions[b, r] == pytest.approx(confusion_matrix(labels, predicted[r], labels=range(3), **options))
        scores = score_confusions(confusions[b, r])
        options |= {"labels": range(3), "zero_division": 0.0, "average": None}
        assert scores[1] == pytest.approx(f1_score(labels, predicted[r], **options).mean())
        assert scores[2:] == pytest.approx(recall_score(labels, predicted[r], **options))
        assert scores[0] == pytest.approx(np.average(labels == predicted[r], weights=weights[b]))


def test_an_absent_class_scores_zero():
    assert score_confusions(np.diag([3.0, 0.0])).tolist() == [1.0, 0.5, 1.0, 0.0]


def test_interval_of_one_recall_is_the_binomial_one():
    labels, predicted = np.zeros(40, int), (np.arange(40) < 8).astype(int)[None]
    values, drawn = bootstrap_scores(labels, {"a": predicted}, 2, resamples=20_000, seed=1)["a"]
    assert values[2] == 0.8
    low, high = np.quantile(drawn[:, 2], [0.025, 0.975])
    assert (low, high) == pytest.approx(np.array(stats.binom(40, 0.8).ppf([0.025, 0.975])) / 40, abs=0.026)


def test_models_share_their_resamples_and_equal_ones_do_not_differ():
    labels, predicted = answers(3)
    scores = bootstrap_scores(labels, {"M0": predicted, "M1": predicted[::-1]}, 3, resamples=300, seed=2)
    table = compare_scores(scores, [("M0", "M1"), ("M0", "M2")], ["AGN", "SN", "VS"])
    assert set(table["comparison"]) == {"M0 < M1"}
    assert table["score"].tolist() == ["accuracy", "macro-F1", "recall AGN", "recall SN", "recall VS"]
    assert (table[["difference", "low", "high"]].abs().to_numpy() < 1e-12).all()
    assert (table["p"] > 0.9).all()


def test_a_better_model_is_found_and_the_sign_is_second_minus_first():
    labels, predicted = answers(4, n=300)
    scores = bootstrap_scores(labels, {"M0": predicted, "M1": labels[None]}, 3, resamples=300, seed=2)
    table = compare_scores(scores, [("M0", "M1")], ["AGN", "SN", "VS"])
    assert (table["low"] > 0).all()
    assert (table["p"] <= 1 / 300).all()


def test_p_is_never_zero_nor_above_one():
    assert percentile_p(np.ones(200)) == 1 / 200
    assert percentile_p(np.zeros(200)) == 1
