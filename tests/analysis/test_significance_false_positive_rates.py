"""The simulated comparisons: equal models really are equal, and the tests' rates are what theory or practice says."""

import numpy as np
import pandas as pd
import pytest

from twostamp.analysis.significance import false_positive_rates
from twostamp.analysis.significance.false_positive_rates import (
    COMBINATIONS,
    THESIS,
    NullComparison,
    Sizes,
    choose_sizes,
    claim_rates,
    count_false_positives,
    fit_shared,
)
from twostamp.evaluation.verdicts import summarise_claims
from twostamp.params import Parameters

SMALL = Sizes(train=30, validation=10, test=10, splits=3)


def test_splits_are_disjoint_balanced_and_of_the_asked_sizes():
    null = NullComparison(SMALL, np.random.default_rng(1))
    parts = null.split()
    assert [len(part) for part in parts] == [150, 50, 50]
    assert len(np.unique(np.concatenate(parts))) == 250
    for part in parts:
        assert len(set(np.bincount(null.labels[part]))) == 1


def test_seeds_and_combinations_change_a_model_and_it_learns():
    null = NullComparison(SMALL, np.random.default_rng(1))
    train, _, test = null.split()
    first, second = null.train(0, train), null.train(0, train)
    assert (first != second).any()
    assert null.train(0, train, COMBINATIONS[-1]).shape == first.shape
    assert null.accuracy(first, test) > 0.6


def test_both_models_are_equally_good_on_average():
    differences = []
    for seed in range(150):
        null = NullComparison(SMALL, np.random.default_rng(seed))
        train, validation, test = null.split()
        unseen = np.concatenate([validation, test])
        differences.append(np.subtract(*(null.accuracy(null.train(m, train), unseen) for m in (0, 1))))
    assert abs(np.mean(differences)) < 3.5 * np.std(differences) / np.sqrt(150)
    assert np.std(differences) > 0.01


@pytest.fixture(scope="module")
def rates() -> pd.DataFrame:
    return count_false_positives(SMALL, worlds=60, margin=0.01, seed=1).set_index("procedure")


def test_rates_repeat_and_follow_the_seed(rates):
    again = count_false_positives(SMALL, worlds=20, margin=0.01, seed=1)
    pd.testing.assert_frame_equal(again, count_false_positives(SMALL, worlds=20, margin=0.01, seed=1))
    assert not again.equals(count_false_positives(SMALL, worlds=20, margin=0.01, seed=2))


def test_tests_over_seeds_find_too_much_and_the_corrected_ones_do_not(rates):
    assert rates.loc["Welch over 5 seeds, two-sided, test", "verdict"] == "too often"
    assert rates.loc["exchange of five recalls, any, Holm", "verdict"] != "too often"
    for procedure in ("McNemar, test", "corrected t over repeated splits", "equivalence (TOST), corrected"):
        assert rates.loc[procedure, "verdict"] != "too often"
    holm, plain = (rates.loc[f"exchange of five recalls, any, {kind}", "found"] for kind in ("Holm", "uncorrected"))
    assert holm <= plain
    assert THESIS in rates.index


def test_the_noise_in_common_follows_how_alike_the_models_of_a_run_are():
    shared = [fit_shared(SMALL, likeness, seed=1).shared for likeness in (0.0, 0.5, 0.9)]
    assert shared == sorted(shared)
    assert shared[0] < 0.6 < shared[2]


def test_every_procedure_is_told_of(rates):
    claims = claim_rates({"small": rates.reset_index()})
    assert all(any(procedure in claim for claim in claims["claim"]) for procedure in rates.index)
    assert claims["verdict"].tolist() == rates["verdict"].tolist()
    assert set(claims["trainings"]) == {""}  # worlds are no trainings
    assert "(95 %: " in summarise_claims(claims)[0]
    assert "trainings" not in "".join(summarise_claims(claims.head(1)))


def test_titles_say_what_is_the_thesiss_and_what_is_not(monkeypatch):
    sizes = []
    monkeypatch.setattr(false_positive_rates, "fit_shared", lambda size, *_: size)
    monkeypatch.setattr(false_positive_rates, "count_false_positives", lambda size, **_: sizes.append(size))
    titles = list(false_positive_rates.measure_false_positives(Parameters(), 0.5))
    assert titles == ["150 training objects a class, validation and test of the thesis", "sizes of this run"]
    assert (sizes[0].train, sizes[0].validation, sizes[0].test) == (150, 200, 100)


def test_intervals_hold_the_rates(rates):
    assert ((rates["low"] <= rates["rate"]) & (rates["rate"] <= rates["high"])).all()
    assert (rates["worlds"] == 60).all()


def test_sizes_are_those_of_the_run_with_a_limited_training_set():
    assert choose_sizes(Parameters(cap_per_class=150)) == Sizes(100, 25, 25, Parameters().repeated_splits)
    thesis = Parameters(cap_per_class=30000, validation_per_class=200, test_per_class=100)
    assert choose_sizes(thesis).train == 150
    assert choose_sizes(thesis).test_share == pytest.approx(2 / 3)
