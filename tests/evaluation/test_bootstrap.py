import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import confusion_matrix, f1_score, recall_score

from twostamp.evaluation.bootstrap import Bootstrap, Estimate, Resampled, balance
from twostamp.evaluation.metrics import _score_confusions, _weigh_confusions, bootstrap_scores, exchange_scores


def answers(seed, n=60, repetitions=2, classes=3):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % classes)
    predicted = np.where(rng.random((repetitions, n)) < 0.7, labels, rng.integers(0, classes, (repetitions, n)))
    return labels, predicted


@given(st.integers(0, 1000))
def test_every_class_keeps_its_number_of_objects(seed):
    labels = np.random.default_rng(seed).integers(0, 4, 30)
    weights = Bootstrap(20, seed).weights(labels)
    for label in np.unique(labels):
        assert (weights[:, labels == label].sum(axis=1) == (labels == label).sum()).all()


@given(st.integers(0, 1000))
def test_scores_are_scikit_learns(seed):
    labels, predicted = answers(seed)
    weights = Bootstrap(3, seed).weights(labels)
    confusions = _weigh_confusions(labels, predicted, weights, 3)
    for b, r in np.ndindex(3, 2):
        options = {"sample_weight": weights[b]}
        assert confusions[b, r] == pytest.approx(confusion_matrix(labels, predicted[r], labels=range(3), **options))
        scores = _score_confusions(confusions[b, r])
        options |= {"labels": range(3), "zero_division": 0.0, "average": None}
        assert scores[1] == pytest.approx(f1_score(labels, predicted[r], **options).mean())
        assert scores[2:] == pytest.approx(recall_score(labels, predicted[r], **options))
        assert scores[0] == pytest.approx(np.average(labels == predicted[r], weights=weights[b]))


def test_an_absent_class_scores_zero():
    assert _score_confusions(np.diag([3.0, 0.0])).tolist() == [1.0, 0.5, 1.0, 0.0]


def test_interval_of_one_recall_is_the_binomial_one():
    labels, predicted = np.zeros(40, int), (np.arange(40) < 8).astype(int)[None]
    recall = bootstrap_scores(labels, {"a": predicted}, 2, Bootstrap(20_000, seed=1))["a"][2].estimate()
    assert recall.value == 0.8
    assert (recall.low, recall.high) == pytest.approx(
        np.array(stats.binom(40, 0.8).ppf([0.025, 0.975])) / 40, abs=0.026
    )


@pytest.mark.parametrize(("won", "exact"), [(3, 0.25), (5, 0.0625), (6, 0.03125)])
def test_exchanged_answers_give_the_exact_p_of_a_recall_of_25_objects(won, exact):
    labels = np.zeros(25, int)
    second = np.zeros((1, 25), int)
    second[0, :won] = 1
    p_values = exchange_scores(labels, np.zeros((1, 25), int), second, 2, Bootstrap(4000, seed=1))
    assert p_values[2] == pytest.approx(exact, abs=0.02)


def test_exchanged_answers_of_equal_models_find_nothing_and_p_is_never_zero():
    labels, predicted = answers(4, n=200)
    assert exchange_scores(labels, predicted, predicted, 3, Bootstrap(100, seed=1)).tolist() == [1] * 5
    assert exchange_scores(labels, labels[None], 0 * predicted, 3, Bootstrap(100, seed=1))[0] == 1 / 101


def test_resampled_trainings_vary_as_means_of_trainings_do():
    right = np.repeat(
        [[1.0], [0.0], [0.0], [1.0], [0.0]], 50, axis=1
    )  # all objects alike: nothing but trainings varies
    drawn = Bootstrap(20_000, seed=1).means({"": right}, np.zeros(50))[""].drawn
    assert drawn.std() == pytest.approx(right[:, 0].std(ddof=1) / np.sqrt(5), rel=0.02)


def test_balanced_weights_average_the_recalls():
    labels, right = np.array([0, 0, 0, 1]), np.array([[True, False, False, True]])
    mean = Bootstrap(100, seed=1).means({"": right}, labels, balance(labels))[""]
    assert mean.value == pytest.approx((1 / 3 + 1) / 2)
    only = Bootstrap(100, seed=1).means({"": right}, labels, balance(labels, labels == 0))[""]
    assert only.value == pytest.approx(1 / 3)


def test_one_bootstrap_draws_the_same_and_another_seed_does_not():
    values = np.random.default_rng(1).random(30)
    assert Bootstrap(50, seed=1).mean(values) == Bootstrap(50, seed=1).mean(values)
    assert Bootstrap(50, seed=1).mean(values) != Bootstrap(50, seed=2).mean(values)
    assert Bootstrap(50, seed=1).generator().random() != Bootstrap(50, seed=1).generator(15).random()


def test_a_difference_is_paired_and_of_itself_nothing():
    labels, predicted = answers(5)
    means = Bootstrap(200, seed=1).means({"a": predicted == labels, "b": predicted[::-1] == labels}, labels)
    assert (means["a"] - means["a"]).estimate() == Estimate(0, 0, 0)
    both = (means["a"] - means["b"]).estimate()
    assert both.value == pytest.approx(0, abs=1e-12)
    assert both.low <= 0 <= both.high


def test_a_statistic_of_weights_is_that_of_the_objects_when_each_counts_once():
    values = np.arange(6.0)
    mean = Bootstrap(100, seed=1).resample(lambda weights: weights @ values / weights.sum(axis=1), [0, 0, 0, 1, 1, 1])
    assert mean.value == 2.5
    assert mean.drawn.shape == (100,)
    assert mean.estimate().low < 2.5 < mean.estimate().high


def test_an_estimate_is_written_and_laid_out_in_one_way():
    estimate = Estimate(0.5, 0.25, 0.75)
    assert f"{estimate:.0% of objects}" == "50% of objects (95 %: 25% to 75%)"
    assert f"{estimate:.2f}" == "0.50 (95 %: 0.25 to 0.75)"
    assert Estimate.from_row(estimate.to_row("gain", "gain "), "gain", "gain ") == estimate
    assert Estimate.from_row(estimate.to_row("share"), "share") == estimate


@pytest.mark.parametrize("place", [1, (1, 0), slice(1, 2), [0, 1], (slice(None), 1)])
def test_a_part_of_what_was_resampled_has_the_same_part_of_every_resample(place):
    value, drawn = np.arange(4.0).reshape(2, 2), np.arange(12.0).reshape(3, 2, 2)
    part = Resampled(value, drawn)[place]
    np.testing.assert_array_equal(part.value, value[place])
    np.testing.assert_array_equal(part.drawn, np.array([resample[place] for resample in drawn]))
