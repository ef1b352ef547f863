"""Calibration, conformal sets and candidates: scikit-learn, worked numbers, and worlds where the truth is known."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import brier_score_loss, log_loss

from twostamp.analysis.calibration import choose_mix, summarise_mix
from twostamp.evaluation import calibration, candidates, conformal
from twostamp.evaluation.bootstrap import Bootstrap
from twostamp.evaluation.predictions import Predictions
from twostamp.params import Parameters
from twostamp.plots.calibration import plot_candidates, plot_coverage, plot_reliability

CLASSES = ("AGN", "SN", "VS", "asteroid", "bogus")


def draw_world(n, shares, seed=0, sharpness=1.6):
    """Objects whose exact posterior for equal shares is known: one normal number for each class."""
    rng = np.random.default_rng(seed)
    shares = np.asarray(shares, float)
    labels = rng.choice(shares.size, n, p=shares)
    seen = rng.normal(sharpness * np.eye(shares.size)[labels], 1)
    powers = np.exp(sharpness * seen)
    return powers / powers.sum(axis=1, keepdims=True), labels


@given(st.integers(0, 1000), st.integers(2, 15))
def test_scores_are_scikit_learns_and_bounded(seed, bins):
    rng = np.random.default_rng(seed)
    probabilities, labels = rng.dirichlet(np.ones(4), 50), rng.integers(0, 4, 50)
    accuracy, error, brier, surprise = calibration.calibration_scores(probabilities, labels, bins)
    one_hot = np.eye(4)[labels]
    assert brier == pytest.approx(sum(brier_score_loss(one_hot[:, k], probabilities[:, k]) for k in range(4)))
    assert surprise == pytest.approx(log_loss(labels, probabilities, labels=range(4)))
    assert accuracy == pytest.approx(np.mean(probabilities.argmax(axis=1) == labels))
    assert 0 <= error <= 1
    table = calibration.measure_reliability(probabilities, labels, bins)
    assert table["n"].sum() == 50
    by_bins = (table["n"] / 50 * (table["confidence"] - table["right"]).abs()).sum()
    assert error == pytest.approx(by_bins)
    assert ((table["low"] <= table["confidence"]) & (table["confidence"] <= table["high"])).all()


def test_weights_are_repeated_objects():
    probabilities, labels = draw_world(30, np.full(5, 0.2))
    weights = np.random.default_rng(1).integers(0, 3, (2, 30))
    weighted = calibration.calibration_scores(probabilities, labels, 10, weights)
    for row, times in zip(weighted, weights):
        repeated = calibration.calibration_scores(np.repeat(probabilities, times, axis=0), np.repeat(labels, times), 10)
        assert row == pytest.approx(repeated)


def test_certain_and_wrong_is_finite():
    scores = calibration.calibration_scores([[1.0, 0.0]], [1], 10)
    assert np.isfinite(scores).all()
    assert scores[1] == 1


@pytest.mark.parametrize("distortion", [0.4, 1.0, 3.0])
def test_temperature_undoes_a_distortion(distortion):
    probabilities, labels = draw_world(8000, np.full(5, 0.2))
    distorted = calibration.apply_temperature(probabilities, 1 / distortion)
    assert calibration.fit_temperature(distorted, labels) == pytest.approx(distortion, rel=0.1)


@given(st.integers(0, 200), st.floats(0.1, 10))
def test_temperature_keeps_the_order_and_one_changes_nothing(seed, temperature):
    probabilities = np.random.default_rng(seed).dirichlet(np.ones(5), 8)
    scaled = calibration.apply_temperature(probabilities, temperature)
    assert scaled.sum(axis=1) == pytest.approx(np.ones(8))
    assert (scaled.argmax(axis=1) == probabilities.argmax(axis=1)).all()
    assert calibration.apply_temperature(probabilities, 1.0) == pytest.approx(probabilities)


def test_an_estimate_of_shares_finds_a_known_mix_that_counting_misses():
    shares = np.array([0.05, 0.02, 0.6, 0.25, 0.08])
    probabilities, labels = draw_world(20_000, shares)
    true, called = np.bincount(labels) / len(labels), np.bincount(probabilities.argmax(axis=1)) / len(labels)
    estimated = calibration.estimate_shares(probabilities)
    assert estimated == pytest.approx(true, abs=0.015)
    assert np.abs(called - true).max() > 0.05
    corrected = calibration.shift_priors(probabilities, estimated)
    before, after = (calibration.calibration_scores(p, labels, 15) for p in (probabilities, corrected))
    assert after[0] > before[0]
    assert after[3] < before[3]
    assert after[1] < 0.02


def test_saerens_first_step_by_hand():
    # one step from equal shares is the mean of the probabilities; a fixed point keeps them
    certain = np.repeat(np.eye(3), [5, 3, 2], axis=0)
    assert calibration.estimate_shares(certain) == pytest.approx([0.5, 0.3, 0.2])
    weights = np.r_[np.zeros(5), np.ones(5)]
    assert calibration.estimate_shares(certain, weights) == pytest.approx([0, 0.6, 0.4])


def test_shifting_to_the_trained_shares_changes_nothing():
    probabilities, _ = draw_world(10, np.full(5, 0.2))
    assert calibration.shift_priors(probabilities, np.full(5, 0.2)) == pytest.approx(probabilities)
    trained = [0.1, 0.2, 0.3, 0.2, 0.2]
    assert calibration.shift_priors(probabilities, trained, trained) == pytest.approx(probabilities)


def test_weighted_classes_have_the_wanted_shares():
    labels, shares = np.array([0, 0, 0, 1]), np.array([0.25, 0.75])
    assert calibration.weigh_classes(labels, shares) == pytest.approx([1 / 12, 1 / 12, 1 / 12, 0.75])


@pytest.mark.parametrize("shares", [np.full(5, 0.2), np.array([0.05, 0.02, 0.6, 0.25, 0.08])])
def test_sets_cover_every_class_in_any_mix_even_of_a_bad_model(shares):
    known, known_labels = draw_world(4000, np.full(5, 0.2), seed=1)
    new, labels = draw_world(8000, shares, seed=2)
    for temperature in (1.0, 0.2):  # the second is far too sure of itself
        thresholds = conformal.fit_thresholds(calibration.apply_temperature(known, temperature), known_labels, 0.9)
        sets = conformal.make_sets(calibration.apply_temperature(new, temperature), thresholds)
        table = conformal.check_coverage(sets, labels, CLASSES, 0.9, known_labels)
        assert (table["verdict"][:5] == conformal.NOT_REFUTED).all(), table
        assert table["covered"].iloc[-1] == pytest.approx(0.9, abs=0.02)


def test_coverage_has_the_beta_binomial_law_on_average():
    rng = np.random.default_rng(1)
    n, coverage, covered = 9, 0.9, []
    for _ in range(4000):
        scores = rng.random((n, 1))
        covered.append(rng.random() >= conformal.fit_thresholds(scores, np.zeros(n, int), coverage)[0])
    assert np.mean(covered) == pytest.approx(9 / 10, abs=0.02)


def test_too_few_objects_leave_the_class_in_every_set():
    thresholds = conformal.fit_thresholds([[0.9, 0.1]] * 8 + [[0.2, 0.8]] * 9, [0] * 8 + [1] * 9, 0.9)
    assert thresholds.tolist() == [0.0, 0.8]
    table = conformal.check_coverage([[True, False]], [0], ["AGN", "SN"], 0.9, [0] * 8 + [1] * 9)
    assert table["verdict"].tolist() == ["too few objects to calibrate: in every set", "no test object", ""]


def test_a_broken_promise_is_seen():
    sets, labels = np.zeros((100, 2), bool), np.zeros(100, int)
    sets[:60, 0] = True
    table = conformal.check_coverage(sets, labels, ["AGN", "SN"], 0.9, np.zeros(200, int))
    assert table["verdict"].iloc[0] == "too low"
    assert table["cannot tell"].iloc[0] == pytest.approx(0.4)
    assert table["low"].iloc[0] == stats.betabinom(100, 181, 20).ppf(0.025) / 100


def test_candidates_of_a_perfect_and_of_a_blind_ranking():
    wanted = np.arange(100) < 10
    perfect = candidates.count_candidates(wanted.astype(float), wanted, np.ones(100))
    assert perfect.tolist() == [1, 1, 1, 1]
    blind = candidates.count_candidates(np.zeros(100), wanted, np.ones(100))
    assert blind.tolist() == [10, 10, 10, 10]
    rare = np.where(wanted, 0.001, 1.0)
    assert candidates.count_candidates(np.zeros(100), wanted, rare)[0] == pytest.approx((0.01 + 90) / 0.01)
    assert np.isnan(candidates.count_candidates(np.zeros(100), wanted, np.where(wanted, 0.0, 1.0))).all()


@given(st.integers(0, 500))
def test_candidates_from_the_top_find_what_they_promise(seed):
    rng = np.random.default_rng(seed)
    scores, wanted = rng.integers(0, 12, 40) / 12, rng.random(40) < 0.3
    wanted[0] = True
    for completeness, value in zip((0.5, 0.9), candidates.count_candidates(scores, wanted, np.ones(40), (0.5, 0.9))):
        thresholds = sorted(set(scores), reverse=True)
        enough = next(t for t in thresholds if wanted[scores >= t].sum() >= completeness * wanted.sum() - 1e-9)
        assert value == pytest.approx((scores >= enough).sum() / wanted[scores >= enough].sum())


def test_a_better_model_saves_candidates():
    labels = np.repeat(np.arange(5), 60)
    rng = np.random.default_rng(0)
    models = {}
    for model, sharpness in (("M0", 0.8), ("M1", 3.0)):
        powers = np.exp(sharpness * rng.normal(sharpness * np.eye(5)[labels], 1))
        models[model] = powers / powers.sum(axis=1, keepdims=True)
    shares = np.array([0.2, 0.1, 0.4, 0.2, 0.1])
    table = candidates.tabulate_candidates(models, labels, shares, 1, Bootstrap(100, seed=1))
    second = table[table["model"] == "M1"]
    assert (second["fewer low"] > 0).all()
    assert ((table["low"] <= table["candidates"]) & (table["candidates"] <= table["high"])).all()
    first = table[table["model"] == "M0"].set_index("completeness")["candidates"]
    assert (first - second.set_index("completeness")["candidates"]).tolist() == pytest.approx(second["fewer"].tolist())
    figure = plot_candidates({"mix": table})
    assert len(figure.axes[0].lines) == 2
    plt.close(figure)


def _part(folder):
    """Make the folder of parts that notebook 07 leaves, with its note on what it was made from."""
    folder.mkdir()
    (folder / "_made_from.json").write_text("{}")
    return folder / "part-00000.parquet"


def test_the_mix_is_given_estimated_or_equal_and_says_which(tmp_path):
    path = tmp_path / "predictions.parquet"
    given_mix, drawn, source = choose_mix(path, 1.0, CLASSES, Parameters(night_mix={"SN": 1, "VS": 3}))
    assert given_mix["share"].tolist() == [0, 0.25, 0.75, 0, 0]
    assert "parameter night_mix" in source
    assert drawn.tolist() == [given_mix["share"].tolist()]
    equal, _, source = choose_mix(path, 1.0, CLASSES, Parameters())
    assert equal["share"].tolist() == pytest.approx([0.2] * 5)
    assert source.startswith("equal")
    shares = np.array([0.1, 0.1, 0.5, 0.2, 0.1])
    probabilities, labels = draw_world(1500, shares)
    names = [f"ZTF{i}" for i in range(1500)]
    pd.DataFrame(probabilities, columns=list(CLASSES)).assign(objectId=names).to_parquet(_part(path))
    truth = pd.DataFrame({"objectId": names, "classALeRCE": [CLASSES[k] for k in labels]})
    truth.to_csv(tmp_path / "truth.csv", index=False)
    mix, drawn, source = choose_mix(path, 1.0, CLASSES, Parameters(), tmp_path / "truth.csv")
    assert drawn.shape == (200, 5)
    assert "classes within the interval" in summarise_mix(mix)
    assert "1500 unlabelled objects" in source
    assert mix["true"].sum() == pytest.approx(1)
    assert ((mix["low"] <= mix["true"]) & (mix["true"] <= mix["high"])).sum() >= 4


def test_calibrate_tabulate_and_draw():
    parts = []
    for seed in (1, 2):
        probabilities, labels = draw_world(200, np.full(5, 0.2), seed=seed)
        sure = calibration.apply_temperature(probabilities, 0.3)
        parts.append(Predictions(labels, CLASSES, {"M0": np.stack([sure, probabilities]), "M1": sure[None]}))
    calibrated = calibration.calibrate(*parts)
    table = calibration.tabulate_calibration(calibrated, parts[1].labels, 10, Bootstrap(100, seed=1))
    scores = table.set_index(["model", "method"])
    assert scores.loc[("M0", "temperature"), "NLL"] < scores.loc[("M0", "single"), "NLL"]
    assert scores.loc[("M0", "temperature"), "accuracy"] == scores.loc[("M0", "single"), "accuracy"]
    assert scores.loc[("M1", "ensemble"), "NLL"] == scores.loc[("M1", "single"), "NLL"]
    for name in set(calibration.MEASURES) - {calibration.ECE}:
        assert (table[f"{name} low"] <= table[f"{name} high"]).all()
    assert (table["calibration"] == "miscalibrated").equals(table["ECE"] > table["ECE limit"])
    assert scores.loc[("M1", "single"), "calibration"] == "miscalibrated"
    figure = plot_reliability(calibrated, parts[1].labels, 10)
    assert len(figure.axes) == 4
    plt.close(figure)
    sets = np.ones((200, 5), bool)
    covered = conformal.check_coverage(sets, parts[1].labels, CLASSES, 0.9, parts[0].labels)
    assert math.isnan(covered["right when told"].iloc[0])
    plt.close(plot_coverage({"M0": covered, "M1": covered}, 0.9))


def test_a_calibrated_model_of_few_objects_is_rarely_called_miscalibrated():
    called = []
    for seed in range(60):
        probabilities, labels = draw_world(125, np.full(5, 0.2), seed=seed)
        row = calibration.tabulate_calibration({"M": {"": probabilities}}, labels, 10, Bootstrap(200, seed=1)).iloc[0]
        called.append(row["calibration"] == "miscalibrated")
        assert row["ECE calibrated"] > 0.03  # never 0, however well calibrated
    assert np.mean(called) < 0.15


def test_candidates_without_a_false_one_have_an_exact_bound():
    labels = np.repeat([0, 1], [100, 25])
    perfect = np.eye(2)[labels] * 0.98 + 0.01
    table = candidates.tabulate_candidates({"M1": perfect}, labels, [0.99, 0.01], 1, Bootstrap(100, seed=1))
    half = table[table["completeness"] == 0.5].iloc[0]
    assert half["candidates"] == 1
    assert half["high"] == pytest.approx(1 + 0.99 * (1 - 0.025**0.01) / 0.005)


def test_an_uncertain_mix_widens_the_curve():
    probabilities, labels = draw_world(600, np.full(5, 0.2), seed=3)
    shares = np.array([0.3, 0.05, 0.35, 0.2, 0.1])
    mixes = np.random.default_rng(1).dirichlet(20 * shares, 50)
    widths = []
    for drawn in (None, mixes):
        table = candidates.tabulate_candidates({"M0": probabilities}, labels, shares, 1, Bootstrap(200, seed=1), drawn)
        widths.append((table["high"] - table["low"]).iloc[2])
    assert widths[1] > 1.2 * widths[0]
