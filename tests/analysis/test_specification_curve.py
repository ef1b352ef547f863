"""The curve on known truth: intervals, the joint null, and its figure."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twostamp.analysis.specification_curve import curve
from twostamp.analysis.specification_curve.specifications import SWITCHES, Specification, draw_specifications
from twostamp.evaluation.bootstrap import Bootstrap
from twostamp.plots.specification_curve import plot_curve

LABELS = np.repeat(np.arange(5), 20)
BOOTSTRAP = Bootstrap(400, seed=1)


def make_right(count, gain, seed=0, repetitions=2, n=100):
    """Specifications that agree on most objects; two alerts are right more often by `gain`."""
    rng = np.random.default_rng(seed)
    easy = rng.random(n)
    right = {}
    for place in range(count):
        noise = rng.random((2, repetitions, n)) * 0.3
        right[place] = {"one": easy + noise[0] > 0.4, "two": easy + noise[1] > 0.4 - gain}
    return right


def test_effects_are_the_differences_of_accuracy_and_lie_in_their_intervals():
    right = make_right(6, 0.1)
    effects = curve.tabulate_effects(draw_specifications(Specification(), 6, 1), right, LABELS, BOOTSTRAP)
    assert effects["difference"].is_monotonic_increasing
    for row in effects.to_dict("records"):
        sides = right[row["specification"]]
        assert row["two"] == sides["two"].mean()
        assert row["difference"] == pytest.approx(row["two"] - row["one"])
        assert row["low"] <= row["difference"] <= row["high"]
    assert effects["repetitions"].eq(2).all()


def test_the_interval_is_that_of_paired_objects_when_there_is_one_repetition():
    right = make_right(1, 0.1, repetitions=1, n=2000)
    drawn = curve._bootstrap_effects(right, np.zeros(2000, int), Bootstrap(4000, seed=1))
    per_object = curve._object_differences(right)[0]
    assert drawn[0].std() == pytest.approx(per_object.std() / np.sqrt(2000), rel=0.05)


def test_repetitions_that_disagree_widen_the_interval():
    steady = {0: {"one": np.zeros((2, 100), bool), "two": np.ones((2, 100), bool)}}
    swinging = {0: {"one": np.zeros((2, 100), bool), "two": np.repeat([[True], [False]], 100, axis=1)}}
    widths = [np.ptp(curve._bootstrap_effects(right, LABELS, BOOTSTRAP)) for right in (steady, swinging)]
    assert widths == pytest.approx([0, 1])


def test_all_specifications_see_the_same_objects_and_the_same_exchanges():
    right = make_right(1, 0.1, repetitions=1)
    twice = {0: right[0], 1: right[0]}
    drawn = curve._bootstrap_effects(twice, LABELS, BOOTSTRAP)
    np.testing.assert_array_equal(drawn[0], drawn[1])
    null = curve._exchange_labels(curve._object_differences(twice), Bootstrap(50, seed=1))
    np.testing.assert_array_equal(null[:, 0], null[:, 1])


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_exchanged_labels_mean_nothing_on_average(seed):
    differences = curve._object_differences(make_right(3, 0.3, seed))
    null = curve._exchange_labels(differences, Bootstrap(2000, seed))
    error = np.sqrt((differences**2).sum(axis=1)) / 100
    assert (np.abs(null.mean(axis=0)) < 5 * error / np.sqrt(2000) + 1e-12).all()
    np.testing.assert_allclose(null.std(axis=0), error, rtol=0.15, atol=1e-12)


def test_a_gain_is_found_and_its_absence_is_not():
    with_gain, without = (
        curve.check_joint_null(make_right(12, gain, seed=3), LABELS, BOOTSTRAP).set_index("claim") for gain in (0.15, 0)
    )
    share = "share in which two beat one"
    assert with_gain.loc[share, "value"] == 1
    assert with_gain.loc[share, "low"] > 0.9
    assert set(with_gain["verdict"]) == {"two beat one"}
    assert set(with_gain["trainings"]) == {24}
    assert with_gain.loc["median difference", "p"] < 0.01
    assert without.loc["median difference", "p"] > 0.05
    assert without.loc["median difference", "verdict"] == "undecided"
    assert without.loc[share, "expected"] == pytest.approx(0.5, abs=0.05)


def test_the_joint_test_holds_its_level():
    found = 0
    for seed in range(60):
        table = curve.check_joint_null(make_right(8, 0, seed=seed), LABELS, Bootstrap(200, seed))
        found += table.set_index("claim").loc["median difference", "p"] <= 0.05
    assert found <= 8  # 5 % of 60 is 3; more than 8 comes once in 300 times


def test_trainings_that_swing_leave_the_median_undecided():
    """Objects alone would decide it: every specification is far from 0, but on either side."""
    rng = np.random.default_rng(5)
    right = {
        place: {"one": np.full((1, 2000), place % 2 == 1), "two": rng.random((1, 2000)) < 0.5} for place in range(8)
    }
    table = curve.check_joint_null(right, np.zeros(2000, int), BOOTSTRAP).set_index("claim")
    assert table.loc["median difference", "low"] < 0 < table.loc["median difference", "high"]


def test_models_that_agree_have_no_effect_and_no_proof():
    same = {0: {side: np.ones((1, 100), bool) for side in ("one", "two")}}
    effects = curve.tabulate_effects([Specification()], same, LABELS, BOOTSTRAP)
    assert effects[["difference", "low", "high"]].eq(0).all(axis=None)
    assert effects["p"].item() == 1
    together = curve.check_joint_null(same, LABELS, BOOTSTRAP).set_index("claim")
    assert together.loc["share in which two beat one", ["value", "expected"]].tolist() == [0.5, 0.5]
    assert together.loc["share in which two beat one significantly", "value"] == 0
    assert curve.compare_levels(effects).empty


def test_an_effect_of_zero_counts_half():
    assert curve._share_better(np.array([0.1, 0.0, -0.2, 0.3])) == 0.625


def test_levels_that_vary_are_compared_and_what_was_found_is_said():
    chosen = draw_specifications(Specification(), 15, 1)
    right = make_right(15, 0.15)
    effects = curve.tabulate_effects(chosen, right, LABELS, BOOTSTRAP)
    levels = curve.compare_levels(effects)
    assert set(levels["switch"]) == set(SWITCHES)
    assert (levels.groupby("switch")["specifications"].sum() == 15).all()
    assert set(effects["verdict"]) == {"undecided"}  # of two trainings each


@pytest.mark.parametrize("count", [2, 12, 60])
def test_the_figure_shows_every_specification_and_every_level_that_varies(count):
    chosen = draw_specifications(Specification(), count, 1)
    effects = curve.tabulate_effects(chosen, make_right(count, 0.1), LABELS, BOOTSTRAP)
    figure = plot_curve(effects, {"random forest": 0.02})
    above, below = figure.axes
    assert len(above.collections[0].get_segments()) == count
    marks = sum(len(collection.get_offsets()) for collection in below.collections)
    varying = [name for name in SWITCHES if len(set(effects[name])) > 1]
    assert marks == count * len(varying)
    labels = [text.get_text() for text in below.get_yticklabels()]
    assert len(labels) == sum(len(set(effects[name])) for name in varying)
    figure.canvas.draw()
    plt.close(figure)
