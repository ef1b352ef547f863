"""Year by year: what is trained on, what is tested, and that falls and gains come out as they were put in."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twostamp.analysis import ageing
from twostamp.analysis.ageing import ADAPTED, BOTH, FORWARD, SAFE, THESIS, VARIANTS, YearlyPredictions
from twostamp.data.feature_lists import COORDINATES
from twostamp.data.features import PACKET_FIELDS
from twostamp.evaluation.bootstrap import Bootstrap
from twostamp.params import Parameters
from twostamp.plots.ageing import plot_drift, plot_gains, plot_recalls, plot_years
from twostamp.utils.healpix import find_pixels

BOOTSTRAP = Bootstrap(200, seed=1)
PARAMS = Parameters(ageing_years=3)
CLASSES = ("AGN", "SN")
KEYS = [*VARIANTS, *((model, ADAPTED[features]) for model, features in VARIANTS if features in ADAPTED)]


def make_predictions(accuracy, n=400, trainings=5, seed=1):
    """Objects of several years, right with a probability by model and year; other models as the first."""
    rng = np.random.default_rng(seed)
    default = next(iter(accuracy.values()))
    years = np.repeat(np.arange(1, len(default) + 1), n)
    blocked, labels = rng.random(len(years)) < 0.3, np.arange(len(years)) // 2 % 2
    luck = rng.random((trainings, len(years)))
    correct = {key: luck < np.array(accuracy.get(key, default))[years - 1] for key in KEYS}
    return YearlyPredictions(labels, years, CLASSES, {FORWARD: ~blocked, BOTH: blocked}, correct)


def make_table(n=600, growth=0.0, seed=1):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({f"{name}_1": rng.normal(20, 3, n) for name in PACKET_FIELDS})
    table = table.assign(isdiffpos_1="t", fid_1=1, ra_1=rng.uniform(0, 360, n), dec_1=rng.uniform(-30, 80, n))
    table["jd_1"] = np.linspace(0, 3 * 365.25, n, endpoint=False)
    table["jd_2"] = table["jd_1"] + rng.exponential(30, n)
    table["year"] = (table["jd_1"] / 365.25).astype(int) + 1
    table["ncovhist_1"] += growth * (table["year"] - 1)
    return table.assign(classALeRCE=rng.choice(CLASSES, n), objectId=np.arange(n).astype(str))


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_everything_that_is_tested_comes_after_everything_learned_and_not_from_its_sky(seed):
    table = make_table()
    train, tested = ageing.split_years(table, seed)
    pixels = find_pixels(table["ra_1"], table["dec_1"], ageing.NSIDE)
    last = table["jd_2"].to_numpy()[train].max()
    for chosen in tested.values():
        assert table["jd_1"].to_numpy()[chosen].min() > last
        assert set(table["year"][chosen]) == {1, 2, 3}
    assert not set(pixels[train]) & set(pixels[tested[BOTH]])
    assert not (tested[BOTH] & tested[FORWARD]).any()


def test_accuracies_are_means_of_plain_recalls():
    predictions = make_predictions({("M0", THESIS): [0.9, 0.6]})
    found = predictions.resample(FORWARD, BOOTSTRAP)
    for year in (1, 2):
        here = predictions.tested[FORWARD] & (predictions.years == year)
        right = predictions.correct["M0", THESIS]
        recalls = [right[:, here & (predictions.labels == label)].mean() for label in (0, 1)]
        assert found["M0", THESIS, year].value == pytest.approx(np.mean(recalls))
    one = predictions.resample(FORWARD, BOOTSTRAP, label=1)["M0", THESIS, 2]
    assert one.value == pytest.approx(recalls[1])


def test_a_class_that_is_not_tested_in_a_year_has_no_part_in_its_mean():
    predictions = make_predictions({("M0", THESIS): [0.9, 0.6]})
    predictions.tested[FORWARD][(predictions.years == 2) & (predictions.labels == 1)] = False
    recall, mean = (predictions.resample(FORWARD, BOOTSTRAP, label)["M0", THESIS, 2] for label in (0, None))
    assert mean.value == pytest.approx(recall.value)


def test_intervals_cover_the_truth():
    covered = []
    for seed in range(40):
        predictions = make_predictions({("M0", THESIS): [0.8, 0.6]}, n=200, seed=seed)
        row = predictions.resample(FORWARD, BOOTSTRAP)["M0", THESIS, 2].estimate()
        covered.append(row.low <= 0.6 <= row.high)
    assert np.mean(covered) > 0.85


def test_falls_and_gains_come_out_as_put_in():
    put_in = {("M0", THESIS): [0.8, 0.7, 0.5], ("M1", THESIS): [0.9, 0.7, 0.5]}
    put_in |= {("M0", SAFE): [0.8, 0.8, 0.8], ("M1", SAFE): [0.9, 0.9, 0.9], ("M1", ADAPTED[THESIS]): [0.9, 0.9, 0.9]}
    predictions = make_predictions(put_in)
    claims = ageing.tabulate_falls(predictions, BOOTSTRAP)
    rows = claims[claims["claim"].str.startswith(f"{FORWARD}:")].set_index("claim")
    rows.index = rows.index.str.removeprefix(f"{FORWARD}: ")
    assert rows.loc["M0 on thesis26 falls by year 3", "value"] == pytest.approx(0.3, abs=0.06)
    assert rows.loc["M0 on thesis26 falls by year 3", "verdict"] == "falls"
    assert rows.loc["M0 on drift_safe falls by year 3", "verdict"] == "undecided"
    assert rows.loc["M1 on thesis26 falls more than on drift_safe by year 3", "verdict"] == "more"
    assert rows.loc["M1 on thesis26 falls more than on thesis26 adapted by year 3", "verdict"] == "more"
    gain = "gain of the second alert on {} in year {}"
    assert rows.loc[gain.format(THESIS, 1), "verdict"] == "gains"
    assert rows.loc[gain.format(THESIS, 3), "value"] == 0
    assert rows.loc[gain.format(SAFE, 3), "verdict"] == "gains"
    assert rows.loc["gain on thesis26 lost by year 3", "verdict"] == "shrinks"
    assert (claims["n"] > 0).all()
    few = ageing.tabulate_falls(make_predictions(put_in, trainings=4), BOOTSTRAP)
    assert set(few["verdict"]) == {"undecided"}


def test_constant_accuracy_does_not_fall():
    found = [
        ageing.tabulate_falls(make_predictions({("M0", THESIS): [0.85] * 7}, n=80, seed=seed), BOOTSTRAP)
        for seed in range(20)
    ]
    falls = [table[table["claim"] == f"{FORWARD}: M0 on thesis26 falls by year 7"]["verdict"].item() for table in found]
    assert falls.count("falls") + falls.count("rises") <= 4  # 5 % of 20 is one


def test_archives_have_their_own_years(tmp_path):
    params = PARAMS.model_copy(update={"archive": "x", "labels": "y"})
    assert ageing.make_survey(tmp_path, params) == tmp_path
    table = pd.DataFrame({"objectId": list("abcd"), "jd_1": [100.0, 460.0, 470.0, 9999.0], "classALeRCE": "VS"})
    table.assign(ssdistnr_1=-999.0).to_parquet(tmp_path / "first_alerts.parquet")
    read = ageing.read_years(tmp_path / "first_alerts.parquet", params)
    assert read["year"].tolist() == [1, 1, 2]


def test_what_drifts_comes_first_and_coordinates_are_not_asked():
    drift = ageing.measure_drift(make_table(growth=4))
    assert drift["feature"].iloc[0] == "ncovhist"
    others = drift[drift["feature"] != "ncovhist"]
    assert (others["index"] / others["expected"]).median() == pytest.approx(1, abs=0.4)
    assert not set(COORDINATES) & set(drift["feature"])
    assert set(drift["year"]) == {2, 3}


def test_features_are_taken_by_name():
    table = make_table(5)
    assert ageing.read_features(table, ("rb",))[:, 0] == pytest.approx(table["rb_1"])


def test_figures_show_every_model_split_and_year():
    predictions = make_predictions({("M0", THESIS): [0.9, 0.7, 0.6]})
    years = ageing.tabulate_years(predictions, BOOTSTRAP)
    assert set(years["trainings"]) == {5}
    assert [ax.get_title() for ax in plot_years(years).axes] == [FORWARD, BOTH]
    assert len(plot_recalls(years, FORWARD).axes) == 5
    figure = plot_gains(ageing.tabulate_falls(predictions, BOOTSTRAP))
    assert [len(ax.collections[1].get_offsets()) for ax in figure.axes] == [3] * 4
    assert len(plot_drift(ageing.measure_drift(make_table())).axes) == 2
    plt.close("all")
