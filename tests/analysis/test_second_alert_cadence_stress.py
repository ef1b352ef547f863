"""Cadence stress: what perturbations do to days for any days, and what is made of models under them."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as numpy_arrays

from twostamp.analysis.second_alert import cadence_stress
from twostamp.analysis.second_alert.cadence_stress import Stress
from twostamp.data.arrays import Arrays, scale_deltajd
from twostamp.data.features import ALL_FEATURES, DELTAJD_FLOOR, Scaler, ln_deltajd
from twostamp.evaluation.bootstrap import Bootstrap
from twostamp.evaluation.predictions import Predictions

DAYS = numpy_arrays(np.float64, st.integers(1, 20), elements=st.floats(DELTAJD_FLOOR, 100))
CLASSES = ("AGN", "SN", "VS", "asteroid", "bogus")


@given(DAYS, st.floats(-50, 50))
def test_a_shift_moves_all_alike_and_never_below_the_floor(days, by):
    shifted = Stress("shift", by)(days)
    assert (shifted >= DELTAJD_FLOOR).all()
    free = days + by > DELTAJD_FLOOR
    np.testing.assert_array_equal(shifted[free], (days + by)[free])
    assert (shifted[~free] == DELTAJD_FLOOR).all()


@given(DAYS, st.floats(0.01, 50))
def test_censoring_drops_none_and_leaves_what_is_below_the_limit(days, limit):
    censored = Stress("censor", limit)(days)
    assert censored.shape == days.shape
    assert (censored <= limit).all()
    np.testing.assert_array_equal(censored[days <= limit], days[days <= limit])
    np.testing.assert_array_equal(Stress("censor", limit)(censored), censored)


@given(DAYS, st.floats(1, 10))
def test_stretching_keeps_ratios_and_is_undone_by_its_inverse(days, factor):
    stretched = Stress("stretch", factor)(days)
    np.testing.assert_allclose(stretched / days, factor)
    np.testing.assert_allclose(Stress("stretch", 1 / factor)(stretched), days)


@given(DAYS, st.floats(0, 30), st.floats(0, 30))
def test_gaps_add_up_and_keep_the_order(days, one, other):
    longer = Stress("gap", one)(days)
    np.testing.assert_allclose(Stress("gap", other)(longer), Stress("gap", one + other)(days))
    assert (np.diff(longer[np.argsort(days)]) >= 0).all()
    assert (longer >= one).all()


def test_a_negative_gap_is_refused():
    with pytest.raises(ValueError, match="cannot be negative"):
        Stress("gap", -2)([1.0])


def make_objects(days):
    rng = np.random.default_rng(1)
    features = rng.normal(5, 3, (len(days), len(ALL_FEATURES)))
    scaler = Scaler.fit(features, features, ln_deltajd(rng.uniform(0.01, 50, 40)))
    n = len(days)
    stamps, metadata = rng.normal(size=(2, n, 21, 21, 3)), rng.normal(size=(2, n, 26))
    return Arrays(*stamps, *metadata, scale_deltajd(days, scaler), np.arange(n) % 5, np.arange(n).astype(str)), scaler


@given(DAYS)
def test_standardised_days_are_taken_back_to_days(days):
    objects, scaler = make_objects(days)
    np.testing.assert_allclose(cadence_stress.unscale_deltajd(objects.deltajd[:, 0], scaler), days, rtol=1e-4)


@given(DAYS, st.sampled_from(cadence_stress.list_stresses([1, 30])))
def test_a_perturbation_changes_the_days_and_nothing_else(days, stress):
    objects, scaler = make_objects(days)
    changed = cadence_stress.perturb(objects, scaler, stress)
    np.testing.assert_allclose(cadence_stress.unscale_deltajd(changed.deltajd[:, 0], scaler), stress(days), rtol=2e-4)
    assert changed.deltajd.shape == objects.deltajd.shape
    assert changed.deltajd.dtype == np.float32
    for name in ("stamps_1", "stamps_2", "metadata_1", "metadata_2", "labels", "object_ids"):
        assert getattr(changed, name) is getattr(objects, name)


def test_objects_without_a_second_alert_cannot_be_perturbed():
    objects, scaler = make_objects(np.array([1.0, 2.0]))
    with pytest.raises(ValueError, match="no second alert"):
        cadence_stress.perturb(objects.first_alone(), scaler, Stress("gap", 3))


def make_view(skill, n=400, r=5, seed=0):
    """Answers that are right for a share of the objects; a model's luck is the same object by object in every view."""
    labels = np.arange(n) % 5
    probabilities = {}
    for model, right in skill.items():
        luck = np.random.default_rng([seed, len(model)]).random((r, n))
        answers = np.where(luck < right, labels, (labels + 1) % 5)
        probabilities[model] = 0.1 + 0.5 * np.eye(5)[answers]
    return Predictions(labels, CLASSES, probabilities)


BOOTSTRAP = Bootstrap(200, seed=1)


def make_stress(robust=0.9, fragile=0.5):
    seen = {cadence_stress.UNDISTURBED: make_view({"robust": 0.9, "fragile": 0.9})}
    for stress in cadence_stress.list_stresses([5, 30]):
        seen[stress.name] = make_view({"robust": robust, "fragile": fragile})
    return seen, cadence_stress.tabulate_stress(seen, cadence_stress.list_stresses([5, 30]), BOOTSTRAP)


def test_losses_are_paired_and_start_at_none():
    _, table = make_stress()
    whole = table[table["objects"] == cadence_stress.STAYING]
    gaps = whole[whole["kind"] == "gap"].set_index(["model", "amount"])
    assert gaps.loc[("fragile", 0), ["loss", "loss low", "loss high"]].tolist() == [0, 0, 0]
    assert gaps.loc[("robust", 30), ["loss", "loss low", "loss high"]].tolist() == [0, 0, 0]
    assert gaps.loc[("fragile", 30), "loss"] == pytest.approx(0.4, abs=0.05)
    assert (table["low"] <= table["accuracy"]).all()
    assert (table["accuracy"] <= table["high"]).all()
    assert (table["loss low"] <= table["loss high"]).all()
    assert len(whole) == 2 * (3 + len(cadence_stress.list_stresses([])))
    assert len(table) == 6 * len(whole)
    assert set(whole["n"]) == {320}


def test_asteroids_that_a_gap_ends_are_no_loss_of_the_others():
    before = make_view({"robust": 1.0})
    after = make_view({"robust": 1.0})
    after.probabilities["robust"][:, after.labels == 3] = 0.1 + 0.5 * np.eye(5)[0]
    seen = {cadence_stress.UNDISTURBED: before, "gap 30": after}
    table = cadence_stress.tabulate_stress(seen, [Stress("gap", 30)], BOOTSTRAP)
    loss = table[table["amount"] == 30].set_index("objects")["loss"]
    expected = {cadence_stress.STAYING: 0, "AGN": 0, "SN": 0, "VS": 0, "asteroid": 1, "bogus": 0}
    assert loss.to_dict() == pytest.approx(expected)


@pytest.mark.parametrize(("robust", "met"), [(0.90, "yes"), (0.80, "no"), (0.88, "undecided")])
def test_goals_are_met_missed_or_open(robust, met):
    seen, table = make_stress(robust)
    view = seen[cadence_stress.UNDISTURBED]
    goals = cadence_stress.check_goals(table, view, {}, 0.01, BOOTSTRAP).set_index("claim")["verdict"]
    assert goals["robust: a gap of 30 nights costs all but asteroids less than 2 points"] == met
    few = cadence_stress.check_goals(table.assign(repetitions=4), view, {}, 0.01, BOOTSTRAP)
    assert set(few["verdict"]) == {"undecided"}


def test_equivalence_takes_small_spread_and_a_small_difference():
    rng = np.random.default_rng(1)
    labels = np.arange(4000) % 5

    def answers(share):
        wrong = rng.random((6, labels.size)) > share
        return 0.1 + 0.5 * np.eye(5)[np.where(wrong, (labels + 1) % 5, labels)]

    same = answers(0.9)
    models = {"twin": same, "near": same.copy(), "far": answers(0.8), "unsure": answers(0.9)}
    models["near"][:, :4] = 0.1 + 0.5 * np.eye(5)[rng.integers(0, 5, (6, 4))]
    nothing = cadence_stress.tabulate_stress({}, [], BOOTSTRAP)

    def judge(pairs, objects=4000, trainings=6):
        values = {name: each[:trainings, :objects] for name, each in models.items()}
        view = Predictions(labels[:objects], CLASSES, values)
        return cadence_stress.check_goals(nothing, view, pairs, 0.01, BOOTSTRAP)["verdict"].tolist()

    assert judge({"near": "twin", "far": "twin"}) == ["equivalent", "different"]
    assert judge({"unsure": "twin"}, objects=40) == ["undecided"]
    for trainings in (1, 4):
        assert set(judge({"near": "twin", "far": "twin"}, trainings=trainings)) == {"undecided"}


def test_equivalence_is_judged_at_90_per_cent_and_shown_with_95():
    answers = np.random.default_rng(1).dirichlet(np.ones(5), (2, 6, 400))
    view = Predictions(np.arange(400) % 5, CLASSES, dict(zip(("model", "twin"), answers)))
    difference = view.correct["model"].astype(float) - view.correct["twin"]
    found = BOOTSTRAP.means({"": difference}, view.labels)[""]
    margin = (max(map(abs, found.estimate(0.1)[1:])) + max(map(abs, found.estimate()[1:]))) / 2
    stress = cadence_stress.tabulate_stress({}, [], BOOTSTRAP)
    row = cadence_stress.check_goals(stress, view, {"model": "twin"}, margin, BOOTSTRAP).iloc[0]
    assert tuple(row[["value", "low", "high"]]) == found.estimate()
    assert row["verdict"] == "equivalent"


def test_the_figure_draws_every_model_and_the_answer_of_one_alert():
    from twostamp.plots.second_alert import plot_stress

    _, table = make_stress()
    figure = plot_stress(table, {"one alert": 0.7})
    assert len(figure.axes) == 2
    assert {"robust", "fragile"} <= {text.get_text() for legend in figure.legends for text in legend.get_texts()}
    plt.close(figure)
