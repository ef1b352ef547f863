"""Coordinates as a shortcut: moved objects, and what latitude explains, on classifiers whose answer is known."""

from dataclasses import replace
from pathlib import Path

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.test_prediction import N, world  # noqa: F401
from tests.models.test_results import make_result
from twostamp.analysis import shortcut_audit
from twostamp.analysis.shortcut_audit import PLACE, SWAPPED, WITH, WITHOUT, CoordinateTest, swap_coordinates
from twostamp.data.tfrecords import Records
from twostamp.evaluation.bootstrap import Bootstrap
from twostamp.models.architectures import build_model
from twostamp.models.classifier import Classifier
from twostamp.models.prediction import predict_pairs
from twostamp.models.results import SearchResults, TrialResult
from twostamp.params import Parameters
from twostamp.plots.shortcut_audit import plot_profiles

CLASSES = ("AGN", "SN", "VS")
BOOTSTRAP = Bootstrap(200, seed=1)


def make_test(n=300, repetitions=2, seed=1, follow=True):
    """A classifier that calls VS what is near the plane, or one that does not know where anything is."""
    rng = np.random.default_rng(seed)
    galactic = SkyCoord(
        rng.uniform(0, 360, n) * u.deg, np.degrees(np.arcsin(rng.uniform(-1, 1, n))) * u.deg, frame="galactic"
    )
    place = galactic.icrs
    low = np.abs(galactic.b.deg) < 20 if follow else rng.random(n) < 0.3
    probabilities = rng.dirichlet([1, 1, 0.1], (repetitions, n)) * 0.5
    probabilities[..., 2] += 0.5 * low
    probabilities[..., 0] += 0.5 * ~low
    return CoordinateTest(place.ra.deg, place.dec.deg, probabilities)


def make_metadata(n=10):
    rng = np.random.default_rng(1)
    columns = {name: rng.uniform(0, 90, n) for name in PLACE} | {"deltajd": np.linspace(1, 150, n)}
    return pd.DataFrame(columns).assign(objectId=[f"ZTF{i}" for i in range(n)])


def test_moved_objects_get_both_alerts_coordinates_of_one_other():
    metadata = make_metadata()
    moved = swap_coordinates(metadata, seed=1)
    donors = [metadata.index[(metadata[list(PLACE)] == row).all(axis=1)].item() for row in moved.to_numpy()]
    assert sorted(donors) == list(range(10))
    assert donors != list(range(10))
    pd.testing.assert_frame_equal(moved, swap_coordinates(metadata, seed=1))


def test_objects_are_drawn_among_those_close_in_time():
    params = Parameters(deltajd_max=100, audit_sky_objects=4)
    drawn = shortcut_audit.draw_objects(make_metadata(), params)
    assert len(drawn) == 4
    assert drawn["deltajd"].max() <= 100
    assert drawn["objectId"].is_monotonic_increasing
    many = params.model_copy(update={"audit_sky_objects": 100})
    assert len(shortcut_audit.draw_objects(make_metadata(), many)) == (make_metadata()["deltajd"] <= 100).sum()


@pytest.mark.slow
def test_only_what_is_replaced_changes(world):  # noqa: F811
    root, table, model = world
    ids = table["objectId"].tolist()
    moved = swap_coordinates(table, seed=1)
    way = (root / "pairs.parquet", ids, Classifier.load(model))
    own, same, other = (
        predict_pairs(*way, replaced=places, batch_size=7)
        for places in (None, table.set_index("objectId")[list(PLACE)], moved)
    )
    pd.testing.assert_frame_equal(own, same)
    assert not np.allclose(own["AGN"], other["AGN"], atol=1e-6)
    np.testing.assert_array_equal(other["ra"], moved.loc[other["objectId"], "ra_1"])
    assert len(own) == N


@pytest.mark.slow
def test_a_classifier_without_coordinates_does_not_notice_that_an_object_was_moved(world, tmp_path):  # noqa: F811
    root, table, _ = world
    trials = []
    for way, variant in shortcut_audit.VARIANTS.items():
        network = build_model(variant, n_classes=3, crop_size=21, kernel_size=3, dropout_rate=0.3)
        network.save_weights(tmp_path / f"{way}.weights.h5")
        trial = make_result(variant)
        scores = {f"{split}_confusion": [] for split in ("validation", "test")} | {"weights": f"{way}.weights.h5"}
        trials.append(replace(trial, folder=tmp_path, content=trial.content | {"last": trial.content["last"] | scores}))
    seen = shortcut_audit.predict_with_and_without_coordinates(
        SearchResults(trials), root / "pairs.parquet", table, Records(root / "records"), Parameters(seed=1)
    )
    assert list(seen) == [WITH, WITHOUT, SWAPPED]
    assert seen[WITH].probabilities.shape == (1, N, 3)
    np.testing.assert_array_equal(seen[WITH].ra, seen[WITHOUT].ra)
    assert sorted(seen[SWAPPED].ra) == sorted(seen[WITH].ra)
    assert not np.allclose(seen[SWAPPED].probabilities, seen[WITH].probabilities, atol=1e-6)
    way = (root / "pairs.parquet", table["objectId"].tolist(), trials[1].load(Records(root / "records")))
    moved = predict_pairs(*way, replaced=swap_coordinates(table, 1))
    np.testing.assert_allclose(moved.iloc[:, 3:-1], seen[WITHOUT].probabilities[0], atol=1e-6)


@given(st.integers(0, 10_000), st.integers(2, 8))
@settings(max_examples=40, deadline=None)
def test_explained_share_is_the_adjusted_r_squared_of_the_groups(seed, bins):
    rng = np.random.default_rng(seed)
    groups = np.concatenate([np.arange(bins), rng.integers(0, bins, 30)])
    values = rng.normal(size=len(groups)) + groups
    design = np.eye(bins)[groups]
    residual = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    n, total = len(values), ((values - values.mean()) ** 2).sum()
    expected = 1 - (residual @ residual / (n - bins)) / (total / (n - 1))
    assert shortcut_audit.explained_share(values, groups)[0] == pytest.approx(expected)
    weights = rng.multinomial(n, np.full(n, 1 / n), size=2)
    drawn = np.repeat(np.arange(n), weights[1])
    if len(set(groups[drawn])) == bins:
        again = shortcut_audit.explained_share(values[drawn], groups[drawn])[0]
        assert shortcut_audit.explained_share(values, groups, weights)[1] == pytest.approx(again)


def test_nothing_is_explained_of_a_constant_or_of_too_few_objects():
    assert np.isnan(shortcut_audit.explained_share([1.0] * 10, [0, 1] * 5)).all()
    assert np.isnan(shortcut_audit.explained_share([1.0, 2.0], [0, 1])).all()


def test_bins_hold_equally_many_objects():
    groups = shortcut_audit.cut_latitudes(np.random.default_rng(1).uniform(0, 90, 600), 6)
    assert np.bincount(groups).tolist() == [100] * 6


def test_dependence_is_found_where_it_is_and_only_there():
    seen = {WITH: make_test(), WITHOUT: make_test(seed=2, follow=False)}
    table = shortcut_audit.tabulate_dependence(seen, CLASSES, BOOTSTRAP).set_index(["coordinates", "class"])
    assert table.loc[(WITH, "VS"), "low"] > 0.4
    assert table.loc[(WITHOUT, "VS"), "low"] < 0.02
    assert (table["low"] <= table["explained"]).all()


def test_changes_are_counted_by_class_over_repetitions():
    before, after = np.zeros((2, 4, 3)), np.zeros((2, 4, 3))
    before[:, [0, 1, 2, 3], [0, 0, 1, 1]] = 1
    after[0, [0, 1, 2, 3], [0, 2, 1, 1]] = 1
    after[1, [0, 1, 2, 3], [2, 2, 1, 1]] = 1
    place = np.zeros(4), np.zeros(4)
    seen = {WITH: CoordinateTest(*place, before), SWAPPED: CoordinateTest(*place, after)}
    table = shortcut_audit.tabulate_changes(seen, CLASSES, BOOTSTRAP).set_index("predicted")
    noise = {"another training": 0, "all, minus another training": 0.375}
    assert table["objects"].to_dict() == {"AGN": 2, "SN": 2, "VS": 0, "all": 4} | dict.fromkeys(noise, 4)
    assert table["changed"].drop("VS").to_dict() == {"AGN": 0.75, "SN": 0, "all": 0.375} | noise
    assert np.isnan(table.loc["VS", "changed"])
    assert table.loc["all", "low"] <= 0.375 <= table.loc["all", "high"]


def test_one_repetition_has_nothing_to_be_compared_with():
    one = make_test(repetitions=1)
    table = shortcut_audit.tabulate_changes({WITH: one, SWAPPED: one}, CLASSES, BOOTSTRAP)
    assert table["predicted"].tolist() == [*CLASSES, "all"]
    assert (table["changed"].dropna() == 0).all()


@pytest.mark.parametrize(
    ("told", "verdict"),
    [(12, "undecided"), (2, "less than between trainings"), (60, "more than between trainings")],
)
def test_changes_are_held_against_those_between_trainings_object_by_object(told, verdict):
    """12 of 200 objects change with the coordinates, 20 others between trainings: intervals overlap, so it is open."""
    before, after = np.zeros((2, 5, 200), int)
    before[1:, :20] = 1
    after[:] = before
    after[:, 100 : 100 + told] = 2
    seen = {
        name: CoordinateTest(*np.zeros((2, 200)), np.eye(3)[said])
        for name, said in zip((WITH, SWAPPED), (before, after))
    }
    claims = tabulate_worth(make_trained([[np.zeros(10, int)] * 5] * 2, 5), np.zeros(10, int), seen).iloc[-3:]
    assert claims["value"].tolist() == pytest.approx([told / 200, 0.1, told / 200 - 0.1])
    assert claims["verdict"].tolist()[1:] == ["measured", verdict]


def make_trained(answers, repetitions):
    rows = [
        {"variant": name, "status": "done", "last": {"test_predicted": list(said)}}
        for name, trainings in zip(shortcut_audit.VARIANTS.values(), answers)
        for said in trainings
    ]
    return SearchResults(TrialResult(row, Path()) for row in rows[: 2 * repetitions])


def tabulate_worth(trained, labels, seen=None):
    seen = seen or {WITH: make_test(), SWAPPED: make_test(seed=3)}
    dependence, changes = (
        tabulate(seen, CLASSES, BOOTSTRAP)
        for tabulate in (shortcut_audit.tabulate_dependence, shortcut_audit.tabulate_changes)
    )
    return shortcut_audit.tabulate_worth(trained, labels, dependence, changes, 300, BOOTSTRAP)


def test_worth_of_coordinates_holds_objects_and_trainings():
    labels = np.arange(200) % 2
    better, worse = ([np.where(np.arange(200) % 10 < k, 1 - labels, labels) for _ in range(5)] for k in (0, 2))
    row = tabulate_worth(make_trained((better, worse), 5), labels).iloc[0]
    assert row["value"] == pytest.approx(0.2)
    assert row["verdict"] == "more"
    # trainings that differ by more than the two classifiers do: objects alone would decide, trainings do not
    swinging = [better[0], worse[0], better[0], worse[0], worse[0]]
    row = tabulate_worth(make_trained((swinging, worse), 5), labels).iloc[0]
    assert row["low"] <= 0 < row["value"]
    assert row["verdict"] == "undecided"
    few = tabulate_worth(make_trained((better[:2], worse[:2]), 2), labels).iloc[0]
    assert few["verdict"] == "undecided"


def test_figures_have_a_panel_a_class_and_claims_say_what_was_found():
    seen = {WITH: make_test(), WITHOUT: make_test(follow=False), SWAPPED: make_test(seed=3)}
    figure = plot_profiles(seen, CLASSES)
    assert len(figure.axes) == 3
    assert len(figure.axes[1].lines) == 3
    figure.canvas.draw()
    plt.close("all")
    answers = [[np.zeros(10, int)]] * 2
    claims = tabulate_worth(make_trained(answers, 1), np.zeros(10, int), seen)
    assert len(claims) == 1 + 3 * 3 + 3
    assert set(claims["verdict"]) == {"undecided"}
