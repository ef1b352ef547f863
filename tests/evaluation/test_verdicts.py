"""One rule for what a difference decides."""

import pytest

from twostamp.evaluation.bootstrap import Estimate
from twostamp.evaluation.verdicts import judge, judge_within, make_claim, summarise_claims, tabulate_claims


@pytest.mark.parametrize(
    ("low", "high", "trainings", "changed", "verdict"),
    [
        (0.01, 0.03, 5, 9, "more"),
        (-0.03, -0.01, 5, 9, "less"),
        (-0.01, 0.03, 9, 9, "undecided"),
        (0.01, 0.03, 4, 9, "undecided"),
        (1.0, 1.0, 5, 5, "undecided"),
    ],
)
def test_the_interval_decides_if_trainings_and_objects_are_enough(low, high, trainings, changed, verdict):
    assert judge(Estimate((low + high) / 2, low, high), trainings, changed=changed) == verdict


@pytest.mark.parametrize(
    ("low", "high", "trainings", "verdict"),
    [
        (-0.005, 0.005, 5, "equivalent"),
        (-0.005, 0.005, 4, "undecided"),
        (-0.005, 0.02, 5, "undecided"),
        (0.02, 0.03, 5, "different"),
    ],
)
def test_equivalence_is_an_interval_within_the_margin(low, high, trainings, verdict):
    assert judge_within(Estimate((low + high) / 2, low, high), trainings, margin=0.01) == verdict


def test_a_sentence_says_what_its_row_does():
    table = tabulate_claims([make_claim("a costs", Estimate(0.05, 0.03, 0.07), 200, 6, ("no", "yes"), at=0.02)])
    assert table["verdict"].tolist() == ["no"]
    assert summarise_claims(table) == ["a costs: +5.0 points (95 %: +3.0 to +7.0), n 200, trainings 6: no"]
