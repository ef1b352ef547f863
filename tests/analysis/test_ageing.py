"""Year by year: what is trained on, what is tested, and that falls and leads come out as they were put in."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twostamp.analysis.ageing import drift_alarm, simulated_survey, yearly
from twostamp.analysis.ageing.simulated_survey import BOTH, FORWARD
from twostamp.analysis.ageing.yearly import YearlyPredictions
from twostamp.data.feature_lists import COORDINATES
from twostamp.data.features import PACKET_FIELDS
from twostamp.evaluation.bootstrap import Bootstrap
from twostamp.params import Parameters
from twostamp.plots.ageing import plot_drift, plot_recalls, plot_years
from twostamp.utils.healpix import find_pixels

BOOTSTRAP = Bootstrap(200, seed=1)
PARAMS = Parameters(ageing_years=3, alarm_batches=4, alarm_surveys=40)
CLASSES = ("AGN", "SN")


def make_predictions(accuracy, n=400, repetitions=3, seed=1, batches_per_year=4):
    """Objects of several years, right with a probability by list and year."""
    rng = np.random.default_rng(seed)
    years = np.repeat(np.arange(1, len(next(iter(accuracy.values()))) + 1), n)
    batches = (years - 1) * batches_per_year + np.tile(np.arange(n) % batches_per_year, years.max())
    labels = np.arange(len(years)) // 2 % 2
    blocked = rng.random((repetitions, len(years))) < 0.3
    correct = {name: rng.random(blocked.shape) < np.array(values)[years - 1] for name, values in accuracy.items()}
    return YearlyPredictions(labels, years, batches, CLASSES, {FORWARD: ~blocked, BOTH: blocked}, correct)


def make_table(n=600, growth=0.0, seed=1):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({f"{name}_1": rng.normal(20, 3, n) for name in PACKET_FIELDS})
    table = table.assign(isdiffpos_1="t", fid_1=1, ra_1=rng.uniform(0, 360, n), dec_1=rng.uniform(-30, 80, n))
    table["batch"] = np.arange(n) * 12 // n
    table["ncovhist_1"] += growth * np.clip(table["batch"] - 3, 0, None)
    return table.assign(
        year=table["batch"] // 4 + 1, classALeRCE=rng.choice(["AGN", "SN"], n), objectId=np.arange(n).astype(str)
    )


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_training_sees_neither_later_years_nor_the_blocked_sky(seed):
    table = make_table()
    (train, held_out, _), blocked = simulated_survey.split_first_year(table, seed)
    assert not set(train) & set(held_out)
    assert (table["year"].iloc[[*train, *held_out]] == 1).all()
    pixels = find_pixels(table["ra_1"], table["dec_1"], simulated_survey.NSIDE)
    assert not set(pixels[train]) & set(pixels[blocked])
    assert set(train) | set(held_out) == set(np.flatnonzero((table["year"] == 1) & ~blocked))
    assert set(table["classALeRCE"].iloc[held_out]) == {"AGN", "SN"}


def test_recalls_are_plain_shares():
    predictions = make_predictions({"thesis26": [0.9, 0.6]})
    recalls = yearly.resample_recalls(predictions, predictions.years, FORWARD, BOOTSTRAP)["thesis26"]
    for g, label in np.ndindex(2, 2):
        here = (predictions.years == g + 1) & (predictions.labels == label)
        shares = [
            (correct & tested)[here].sum() / tested[here].sum()
            for correct, tested in zip(predictions.correct["thesis26"], predictions.tested[FORWARD], strict=True)
        ]
        assert recalls.value[g, label] == pytest.approx(np.mean(shares))
    assert recalls.drawn.shape == (200, 2, 2)


def test_a_class_that_is_not_tested_is_unknown():
    predictions = make_predictions({"thesis26": [0.9, 0.6]})
    tested = predictions.tested[FORWARD] & ((predictions.years == 1) | (predictions.labels == 0))
    predictions = replace(predictions, tested={FORWARD: tested})
    recalls = yearly.resample_recalls(predictions, predictions.years, FORWARD, BOOTSTRAP)["thesis26"]
    assert np.isnan(recalls.value).tolist() == [[False, False], [False, True]]


def test_intervals_cover_the_truth():
    covered = []
    for seed in range(40):
        table = yearly.tabulate_years(make_predictions({"thesis26": [0.8, 0.6]}, n=200, seed=seed), BOOTSTRAP)
        row = table[(table["year"] == 2) & (table["score"] == "accuracy") & (table["split"] == FORWARD)].iloc[0]
        covered.append(row["low"] <= 0.6 <= row["high"])
    assert np.mean(covered) > 0.85


def test_each_recall_has_the_interval_of_its_own_class_and_year():
    predictions = make_predictions({"thesis26": [0.9, 0.6]}, n=2000)
    correct = predictions.correct["thesis26"] & (predictions.labels == 0)
    table = yearly.tabulate_years(replace(predictions, correct={"thesis26": correct}), BOOTSTRAP)
    assert ((table["low"] <= table["value"]) & (table["value"] <= table["high"])).all()
    assert (table["high"] - table["low"] < 0.1).all()
    assert (table.loc[table["score"] == "recall SN", ["value", "low", "high"]] == 0).all(axis=None)


def test_falls_come_out_as_put_in():
    predictions = make_predictions({"thesis26": [0.9, 0.7, 0.5], "drift_safe": [0.8, 0.8, 0.8]})
    falls = yearly.tabulate_falls(predictions, BOOTSTRAP)
    rows = falls[falls["split"] == FORWARD].set_index("what")
    assert rows["verdict"].to_dict() == {
        "thesis26": "falls",
        "drift_safe": "cannot tell",
        "thesis26 - drift_safe": "first falls more",
    }
    assert rows.loc["thesis26", "fall"] == pytest.approx(0.4, abs=0.06)
    assert (falls["n_last"] > 0).all()
    lines = yearly.summarise_falls(falls, "simulated survey")
    assert len(lines) == len(falls)
    assert all(line.startswith("simulated survey") for line in lines)


@pytest.mark.parametrize(("accuracy", "first"), [([0.9, 0.9, 0.5], 2), ([0.9, 0.95, 0.89], 3), ([0.86, 0.92, 0.9], 3)])
def test_a_fall_has_to_last(accuracy, first):
    assert drift_alarm.find_fall(np.array(accuracy), np.ones(3), before=0.9) == first


def test_an_untested_batch_hides_no_fall():
    assert drift_alarm.find_fall(np.array([0.9, np.nan, 0.5]), np.ones(3), before=0.9) == 2


def test_the_alarm_leads_a_fall_that_comes_later():
    survey = drift_alarm.monitor_survey(make_table(1200, growth=8), "thesis26", PARAMS)
    predictions = make_predictions({"thesis26": [0.99, 0.99, 0.4]}, n=800)
    lead = drift_alarm.measure_lead(predictions, survey, "thesis26", BOOTSTRAP)
    assert (lead["alarm"], lead["fall"], lead["lead"]) == (3, 15, 12)
    assert lead["low"] > 0
    (line,) = drift_alarm.summarise_leads(
        pd.DataFrame([lead]), survey.checked.assign(features="thesis26"), "simulated survey"
    )
    assert "warned in time" in line


def test_a_survey_that_does_not_drift_stays_silent():
    survey = drift_alarm.monitor_survey(make_table(1200), "thesis26", PARAMS)
    assert survey.alarm.first(survey.index) == -1
    lasting, falling = (make_predictions({"thesis26": values}, n=800) for values in ([0.9, 0.9, 0.9], [0.9, 0.4, 0.4]))
    assert np.isnan(drift_alarm.measure_lead(lasting, survey, "thesis26", BOOTSTRAP)["alarm"])
    late = drift_alarm.measure_lead(falling, survey, "thesis26", BOOTSTRAP)
    assert late["lead"] == -24  # an alarm that never rings is late by all that is left of the survey


def test_resampling_does_not_push_the_index_up():
    survey = drift_alarm.monitor_survey(make_table(1200), "thesis26", PARAMS)
    drawn = survey.resample_index(BOOTSTRAP)
    assert drawn.mean(axis=0) == pytest.approx(survey.index)


def test_archives_have_their_own_years(tmp_path):
    params = PARAMS.model_copy(update={"archive": "x", "labels": "y"})
    assert simulated_survey.make_survey(tmp_path, params) == tmp_path
    table = pd.DataFrame({"objectId": list("abcd"), "jd_1": [100.0, 460.0, 470.0, 9999.0], "classALeRCE": "VS"})
    table.assign(ssdistnr_1=-999.0).to_parquet(tmp_path / "first_alerts.parquet")
    read = simulated_survey.read_years(tmp_path / "first_alerts.parquet", params)
    assert read["year"].tolist() == [1, 1, 2]
    assert read["batch"].tolist() == [0, 3, 4]


def test_coordinates_have_no_alarm():
    names = drift_alarm.monitor_survey(make_table(), "drift_safe", PARAMS).alarm.names
    assert not set(COORDINATES) & set(names)
    assert len(names) == 18


def test_features_are_taken_by_name():
    table = make_table(5)
    assert drift_alarm.read_features(table, ("rb",))[:, 0] == pytest.approx(table["rb_1"])


def test_a_run_without_stationary_surveys_counts_no_false_alarms(tmp_path):
    assert drift_alarm.check_whole_surveys(tmp_path, PARAMS).empty


def test_figures_show_every_list_and_split():
    predictions = make_predictions({name: [0.9, 0.7, 0.6] for name in simulated_survey.LISTS})
    years = yearly.tabulate_years(predictions, BOOTSTRAP)
    assert [ax.get_title() for ax in plot_years(years).axes] == [FORWARD, BOTH]
    assert len(plot_recalls(years, FORWARD).axes) == 4
    survey = drift_alarm.monitor_survey(make_table(growth=9), "thesis26", PARAMS)
    figure = plot_drift({"thesis26": survey, "drift_safe": replace(survey, index=survey.index * 0)})
    assert "no alarm" in figure.axes[1].get_title()
