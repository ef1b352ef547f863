import math

import numpy as np
import pytest
from scipy import stats

from twostamp.evaluation.power import (
    _count_objects,
    _count_repetitions,
    _count_splits,
    _split_power,
    largest_discordance,
    make_power_table,
)


def test_objects_repeat_connors_formula_as_published():
    # powerandsamplesize.com, "Compare Paired Proportions: McNemar", two-sided, p01 0.45, p10 0.05, power 0.8: 23;
    # and an odds ratio of 2 with 45 % discordant (difference 0.15): 155
    assert _count_objects(0.40, discordant=0.50) == 23
    assert _count_objects(0.15, discordant=0.45) == 155


@pytest.mark.parametrize(("difference", "discordant"), [(0.3, 0.2), (0.0, 0.2), (0.3, 1.2)])
def test_impossible_discordance_is_refused(difference, discordant):
    with pytest.raises(ValueError, match="cannot come from"):
        _count_objects(difference, discordant)


@pytest.mark.parametrize(("effect", "n"), [(0.2, 394), (0.5, 64), (0.8, 26)])
def test_repetitions_repeat_cohen(effect, n):
    # Cohen (1992, Psychological Bulletin 112, 155, Table 2): 393, 64, 26 in each group; G*Power gives 394, 64, 26
    assert _count_repetitions(effect, std=1.0) == n
    assert _count_repetitions(100.0, std=1.0) == 2


@pytest.mark.parametrize("std", np.linspace(0.001, 0.03, 30))
def test_no_spread_that_a_run_may_have_stops_the_count(std):
    counts = [_count_repetitions(difference, std) for difference in (0.005, 0.01, 0.014, 0.02, 0.05, 0.1)]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] >= 2


def test_split_power_is_what_simulation_finds():
    rng = np.random.default_rng(1)
    n, share, difference, std = 6, 0.2, 0.03, 0.02
    # the corrected test assumes a common part of variance share * std**2 beside n independent ones
    means = difference + std * rng.normal(0, math.sqrt(1 / n + share), 20_000)
    spreads = std * np.sqrt(stats.chi2.rvs(n - 1, size=20_000, random_state=rng) / (n - 1))
    found = np.abs(means / (spreads * math.sqrt(1 / n + share))) > stats.t.isf(0.025, n - 1)
    assert _split_power(difference, std, n, share) == pytest.approx(found.mean(), abs=0.015)


def test_more_splits_bring_less_and_less_power():
    assert [round(_split_power(0.02, 0.02, n, test_share=0.25), 2) for n in (5, 30, 1000)] == [0.21, 0.44, 0.51]


def test_no_number_of_splits_replaces_objects():
    assert _count_splits(0.01, 0.02, test_share=0.25) is None
    needed = _count_splits(0.05, 0.02, test_share=0.25)
    assert needed is not None
    assert _split_power(0.05, 0.02, needed, 0.25) >= 0.8 > _split_power(0.05, 0.02, needed - 1, 0.25)


@pytest.mark.parametrize(("gain", "n"), [(3, 500), (7, 500), (22, 1000)])
def test_largest_discordance_is_the_last_that_the_exact_test_sees(gain, n):
    most = largest_discordance(gain, n)
    assert most == 0 or stats.binomtest((most + gain) // 2, most).pvalue < 0.05
    following = max(most, gain - 2) + 2
    assert stats.binomtest((following + gain) // 2, following).pvalue >= 0.05


def test_table_says_what_it_does_not_know():
    table = make_power_table([0.01, 0.2], discordant=0.1, seed_std=float("nan"), split_std=0.0, test_share=0.2)
    assert table["test objects"].tolist()[1] == "cannot occur"
    assert set(table["repetitions"]) | set(table["splits"]) == {"unknown"}
    nothing = make_power_table([0.01], discordant=float("nan"), seed_std=0.01, split_std=0.02, test_share=0.25)
    assert nothing.iloc[0].tolist() == [0.01, "unknown", "17", "no number: more objects"]
