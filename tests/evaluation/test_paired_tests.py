"""Paired tests against statsmodels, scipy and worked examples that others have published."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score
from statsmodels.stats.weightstats import ttost_paired

from twostamp.evaluation.hypothesis_tests import (
    cochran_test,
    corrected_t_test,
    delong_covariance,
    delong_test,
    mcnemar_test,
    probability_better,
)

OVARIAN = """
3.0 5.8 10 0   3.2 6.3  5 1   3.9 6.8  3 1   2.8 4.8  6 0   3.2 5.8  3 1   0.9 4.0  5 0   2.5 5.7  8 0   1.6 5.6  5 1
3.8 5.7  5 1   3.7 6.7  6 1   3.2 5.4  4 1   3.8 6.6  6 1   4.1 6.6  5 1   3.6 5.7  5 1   4.3 7.0  4 1   3.6 6.7  4 0
2.3 4.4  6 1   4.2 7.6  4 0   4.0 6.6  6 0   3.5 5.8  6 1   3.8 6.8  7 1   3.0 4.7  8 0   4.5 7.4  5 1   3.7 7.4  5 1
3.1 6.6  6 1   4.1 8.2  6 1   4.3 7.0  5 1   4.3 6.5  4 1   3.2 5.1  5 1   2.6 4.7  6 1   3.3 6.8  6 0   1.7 4.0  7 0
3.7 6.1  5 1   3.3 6.3  7 1   4.2 7.7  6 1   3.5 6.2  5 1   2.9 5.7  9 0   2.1 4.8  7 1   2.8 6.2  8 0   4.0 7.0  7 1
3.3 5.7  6 1   3.7 6.9  5 1   3.6 6.6  5 1
"""
"""Albumin, total protein, K-G score and outcome of DeLong et al. (1988, Table 1), 43 complete rows."""


def spread(mean, std, n):
    """Values with exactly that mean and standard deviation (ddof 1)."""
    values = np.arange(n, dtype=float)
    return mean + std * (values - values.mean()) / values.std(ddof=1)


def test_corrected_t_repeats_scikit_learns_worked_example():
    # "Statistical comparison of models using grid search" (scikit-learn's examples): 10 times 10 folds of 300 objects;
    # it prints an uncorrected t of 2.611 with p 0.005, and a corrected one of 0.750 with p 0.227.
    differences = spread(2.611 / math.sqrt(100), 1.0, 100)
    plain, corrected = (corrected_t_test(differences, share) for share in (0, 30 / 270))
    assert (round(plain.statistic, 3), round(plain.p_value / 2, 3)) == (2.611, 0.005)
    assert (round(corrected.statistic, 2), round(corrected.p_value / 2, 3)) == (0.75, 0.227)


differences = st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=2, max_size=12)


@given(differences.filter(lambda values: np.std(values) > 1e-6), st.floats(0, 2))
def test_without_a_share_it_is_the_paired_t_and_a_share_only_makes_it_more_careful(values, share):
    expected = stats.ttest_1samp(values, 0)
    plain, corrected = corrected_t_test(values, 0), corrected_t_test(values, share)
    assert plain.statistic == pytest.approx(expected.statistic)
    assert plain.p_value == pytest.approx(expected.pvalue)
    assert corrected.p_value >= plain.p_value - 1e-12


def test_interval_excludes_zero_exactly_when_p_is_small():
    error = np.std([0.01, 0.02, 0.03, 0.02], ddof=1) * math.sqrt(1 / 4 + 0.25)
    just = stats.t.isf(0.025, 3) * error
    for mean, inside in ((0.99 * just, True), (1.01 * just, False)):
        values = np.array([0.01, 0.02, 0.03, 0.02]) - 0.02 + mean
        result = corrected_t_test(values, 0.25)
        assert (result.difference.low < 0 < result.difference.high) == inside == (result.p_value > 0.05)


@pytest.mark.parametrize(
    ("values", "reason"), [([], "0 difference"), ([0.1], "1 difference"), ([0.1, 0.1], "no spread")]
)
def test_undefined_differences_give_their_reason(values, reason):
    result = corrected_t_test(values, 0.2)
    assert math.isnan(result.p_value)
    assert reason in result.reason
    assert all(math.isnan(limit) for limit in result.difference[1:])


@given(differences.filter(lambda values: np.std(values) > 1e-6), st.floats(0.01, 0.5))
def test_an_interval_of_90_lies_within_the_margin_where_two_one_sided_tests_say_so(values, margin):
    p_value = ttost_paired(np.array(values), np.zeros(len(values)), -margin, margin)[0]
    interval = corrected_t_test(values, 0, 0.1).difference
    if abs(p_value - 0.05) > 1e-6:
        assert (-margin < interval.low and interval.high < margin) == (p_value < 0.05)
    wider = corrected_t_test(values, 0.5, 0.1).difference
    assert wider.high - wider.low >= interval.high - interval.low


def test_probability_better_counts_wins_and_ties_and_few_splits_show_little():
    share, low, high = probability_better([2, 1, -1, 0])
    assert share == 0.625
    assert low < share < high
    assert probability_better([0, 0]).value == 0.5
    four_of_four = probability_better([1, 1, 1, 1])
    assert (four_of_four.value, four_of_four.high) == (1, 1)
    assert four_of_four.low == pytest.approx(0.40, abs=0.005)


def test_mcnemar_repeats_agrestis_approval_ratings():
    # Agresti, Categorical Data Analysis (2nd ed., section 10.1): 794, 150, 86, 570; difference of proportions 0.04 with
    # a 95 % interval of (0.02, 0.06); z = -4.17
    first = np.repeat([True, True, False, False], [794, 150, 86, 570])
    second = np.repeat([True, False, True, False], [794, 150, 86, 570])
    result = mcnemar_test(first, second)
    assert [round(x, 2) for x in result.difference] == [0.04, 0.02, 0.06]
    assert result.p_value == pytest.approx(stats.binomtest(86, 236).pvalue)
    assert result.p_value == pytest.approx(2 * stats.norm.sf(4.17), rel=0.25)  # the exact test is a little more careful


@pytest.mark.parametrize(("won", "lost"), [(5, 0), (6, 0), (9, 2), (8, 1), (20, 9)])
def test_mcnemars_interval_holds_zero_exactly_where_p_is_large(won, lost):
    first, second = np.zeros((2, 125), bool)
    first[:won], second[won : won + lost] = True, True
    result = mcnemar_test(first, second)
    assert (result.difference.low > 0) == (result.p_value < 0.05)


def test_mcnemar_of_equal_models_finds_nothing():
    right = np.array([True, False, True])
    result = mcnemar_test(right, right)
    assert (result.difference.value, result.p_value) == (0, 1)


def test_cochran_repeats_the_drug_example():
    # SAS, PROC FREQ, "Cochran's Q Test" (three drugs, 46 patients): Q = 8.4706, p = 0.0145
    patterns = {(1, 1, 1): 6, (1, 1, 0): 16, (1, 0, 1): 2, (1, 0, 0): 4, (0, 1, 1): 2, (0, 1, 0): 4, (0, 0, 1): 6}
    patterns[0, 0, 0] = 6
    right = np.repeat(list(patterns), list(patterns.values()), axis=0)
    result = cochran_test(right)
    assert (round(result.statistic, 4), round(result.p_value, 4)) == (8.4706, 0.0145)


def test_cochran_of_equal_models_is_undefined():
    result = cochran_test(np.array([[1, 1, 1], [0, 0, 0]]))
    assert math.isnan(result.statistic)
    assert math.isnan(result.p_value)
    assert result.reason == "all are right on the same objects"


@pytest.fixture(scope="module")
def ovarian():
    albumin, protein, score, outcome = np.array(OVARIAN.split(), float).reshape(-1, 4).T
    return outcome == 1, {"albumin": albumin, "protein": protein, "K-G": 10 - score}


def brute_force(labels, scores):
    """DeLong's covariance from its definition, one comparison of two objects at a time."""
    parts = []
    for score in scores:
        wins = np.sign(score[labels][:, None] - score[~labels][None, :]) / 2 + 0.5
        parts.append((wins.mean(axis=1), wins.mean(axis=0)))
    positive, negative = (np.cov([part[i] for part in parts]) for i in (0, 1))
    return positive / labels.sum() + negative / (~labels).sum()


def test_delong_on_its_own_data(ovarian):
    labels, scores = ovarian
    table = list(scores.values())
    areas, covariance = delong_covariance(labels, table)
    assert areas == pytest.approx([roc_auc_score(labels, score) for score in table])
    assert covariance == pytest.approx(brute_force(labels, table))
    # SAS/STAT User's Guide, PROC LOGISTIC, "Comparing Receiver Operating Characteristic Curves": K-G score 0.7258,
    # total protein 0.6478; their difference -0.0780 (-0.2830 to 0.1271), p = 0.4561
    assert areas[1:].round(4).tolist() == [0.6478, 0.7258]
    result = delong_test(labels, scores["protein"], scores["K-G"])
    published = [-0.0780, -0.2830, 0.1271, 0.4561]
    assert [*result.difference, result.p_value] == pytest.approx(published, abs=6e-5)


@given(st.integers(0, 10_000))
def test_delong_with_ties_is_its_definition(seed):
    rng = np.random.default_rng(seed)
    labels = np.arange(14) < rng.integers(2, 13)
    scores = rng.integers(0, 4, (2, 14)).astype(float)
    areas, covariance = delong_covariance(labels, scores)
    assert covariance == pytest.approx(brute_force(labels, scores), abs=1e-12)
    swapped, _ = delong_covariance(~labels, -scores)
    assert areas == pytest.approx(swapped)


def test_delong_without_spread_or_objects():
    labels = np.array([True, True, False, False])
    assert delong_test(labels, [4, 3, 2, 1], [8, 7, 2, 1]).reason == "the curves have no spread"
    with pytest.raises(ValueError, match="two objects of either kind; there are 1 and 3"):
        delong_covariance([True, False, False, False], [[1, 2, 3, 4]])
