"""Asteroids of later years at the false-asteroid rate of the first: recall alone must not be able to win."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twostamp.analysis.ageing import real_packets
from twostamp.data.features import PACKET_FIELDS
from twostamp.evaluation.bootstrap import Bootstrap
from twostamp.plots.ageing import plot_real

BOOTSTRAP = Bootstrap(100, seed=1)
RATE = 0.1


def make_table(nights_per_year=8, per_night=10, years=(2018, 2023)):
    """Half asteroids, half others, in several nights of two years."""
    rows = [
        {"objectId": f"{year}{night}{i}", "year": year, "night": f"{year}-0{night + 1}-01"}
        | {"classALeRCE": ("asteroid", "VS", "asteroid", "bogus")[i % 4], "ra_1": 37.0 * night + i, "dec_1": 2.0 * i}
        for year in years
        for night in range(nights_per_year)
        for i in range(per_night)
    ]
    return pd.DataFrame(rows)


def find_verdict(scores, table, rate=RATE):
    folds = np.where(table["year"] == 2018, np.arange(len(table)) % 2, -1)[None]
    is_asteroid = (table["classALeRCE"] == "asteroid").to_numpy()
    is_called = real_packets.call_asteroids(np.asarray(scores, float)[None], folds, is_asteroid, rate)[0]
    recalls = real_packets.tabulate_recalls({"drift_safe": is_called}, table, BOOTSTRAP)
    return recalls, real_packets.test_against_goal(recalls, rate).iloc[0]


def make_scores(table, later=(0.9, 0.1), seed=1):
    """Scores of two trainings: asteroids and others apart in 2018, as told in 2023."""
    rng = np.random.default_rng(seed)
    asteroid, first = (table["classALeRCE"] == "asteroid").to_numpy(), (table["year"] == 2018).to_numpy()
    centre = np.where(first, np.where(asteroid, 0.9, 0.1), np.where(asteroid, *later))
    return np.clip(centre + rng.normal(0, 0.03, (2, len(table))), 0, 1)


def test_a_classifier_that_lasts_meets_the_goal():
    table = make_table()
    recalls, verdict = find_verdict(make_scores(table), table)
    assert verdict["verdict"] == "goal met"
    assert recalls[recalls["what"] == "recall"]["value"].tolist() == [1, 1]
    assert recalls[recalls["what"] == "false rate"]["value"].iloc[0] <= RATE


def test_always_asteroid_fails():
    table = make_table()
    recalls, verdict = find_verdict(np.ones((2, len(table))), table)
    assert recalls[recalls["what"] == "recall"]["value"].max() == 0
    assert verdict["verdict"] == "goal not met"


def test_becoming_always_asteroid_fails_although_recall_is_whole():
    table = make_table()
    _, verdict = find_verdict(make_scores(table, later=(0.95, 0.95)), table)
    assert verdict["recall 2023"] > 0.9
    assert "more than in 2018" in verdict["on these nights"]
    assert verdict["verdict"] == "goal not met"


def test_a_classifier_that_forgets_fails():
    table = make_table()
    _, verdict = find_verdict(make_scores(table, later=(0.1, 0.1)), table)
    assert verdict["loss"] > 0.8
    assert verdict["verdict"] == "goal not met"


def test_two_nights_cannot_tell():
    table = make_table(nights_per_year=2, per_night=40)
    _, verdict = find_verdict(make_scores(table), table)
    assert verdict["verdict"] == "too few nights to tell"
    assert verdict["on these nights"] == "kept, false asteroids not more than in 2018"


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.floats(0.01, 0.99))
def test_the_threshold_keeps_the_rate_and_is_the_lowest_to(scores, rate):
    threshold = real_packets.find_threshold(scores, rate)
    assert np.mean(np.array(scores) > threshold) <= rate
    lower = [score for score in scores if score < threshold]
    if lower:
        assert np.mean(np.array(scores) > max(lower)) > rate


def test_later_years_do_not_move_the_threshold():
    table = make_table()
    scores = make_scores(table)
    folds = np.where(table["year"] == 2018, np.arange(len(table)) % 2, -1)[None]
    is_asteroid = (table["classALeRCE"] == "asteroid").to_numpy()
    before = real_packets.call_asteroids(scores[None], folds, is_asteroid, RATE)[1]
    scores[:, table["year"] == 2023] = 0.5
    assert real_packets.call_asteroids(scores[None], folds, is_asteroid, RATE)[1] == pytest.approx(before)


def test_the_first_year_is_judged_by_those_that_did_not_learn_from_it():
    table = make_table()
    scores = make_scores(table)
    held_out = np.arange(len(table)) % 2
    first = np.flatnonzero(table["year"] == 2018)
    scores[1 - held_out[first], first] = np.nan  # what a training says of its own objects is not looked at
    recalls, _ = find_verdict(scores, table)
    assert recalls["value"].notna().all()


@given(st.integers(0, 100))
@settings(max_examples=10, deadline=None)
def test_nights_are_held_out_whole_and_a_large_one_by_place(seed):
    table = make_table(years=(2018,))
    large = table.assign(night="2018-11-29", objectId=table["objectId"] + "x", ra_1=table["ra_1"] % 30)
    table = pd.concat([table, large, make_table(years=(2023,))], ignore_index=True)
    fold = real_packets.divide_first_year(table, 3, seed)
    assert (fold[table["year"] == 2023] == -1).all()
    assert set(fold[table["year"] == 2018]) == {0, 1, 2}
    small = (table["year"] == 2018) & (table["night"] != "2018-11-29")
    assert all(len(set(fold[places])) == 1 for places in table[small].groupby("night").groups.values())
    within = table["night"] == "2018-11-29"
    places = table[within].groupby(["ra_1", "dec_1"]).groups.values()
    assert all(len(set(fold[rows])) == 1 for rows in places)
    assert len(set(fold[within])) == 3


def test_intervals_are_by_night():
    values, interval = np.repeat([0.0, 1.0], 50), Bootstrap(2000, seed=1).interval_by_night
    assert np.isnan(interval(values, ["a"] * 100)[0])
    assert interval(values, np.repeat(["a", "b"], 50)) == (0, 1, "range of 2 nights")
    nights = np.repeat(np.arange(20), 5)
    low, high, kind = interval(values, nights)
    assert kind == "by 20 nights"
    expected = np.sqrt(0.25 / 20)
    assert high - low == pytest.approx(2 * 1.96 * expected, rel=0.15)


def test_a_new_threshold_does_not_mend_a_lost_order():
    table = make_table()
    is_asteroid, later_year = (table["classALeRCE"] == "asteroid").to_numpy(), (table["year"] == 2023).to_numpy()
    groups = later_year & ~is_asteroid, later_year & is_asteroid
    for later, recall in (((0.5, 0.2), 1.0), ((0.2, 0.5), 0.0)):
        scores = make_scores(table, later)[None]
        assert real_packets.recall_at_realised_rate(scores, *groups, RATE) == recall


def test_what_was_found_is_told_and_drawn():
    table = make_table()
    recalls, verdict = find_verdict(make_scores(table), table)
    (line,) = real_packets.summarise_goal(verdict.to_frame().T, recalls)
    assert "false asteroids" in line
    assert "8 nights" in line
    assert len(plot_real(recalls, RATE).axes) == 2


def test_features_that_drift_are_found():
    rng = np.random.default_rng(1)
    n = 200
    row = {f"{name}_1": rng.normal(20, 3, n) for name in PACKET_FIELDS} | {"isdiffpos_1": "t", "fid_1": 1}
    row |= {"ra_1": 10.0, "dec_1": 10.0}
    table = pd.DataFrame(row).assign(classALeRCE="VS", year=np.repeat([2018, 2023], n // 2))
    table.loc[table["year"] == 2023, "ncovhist_1"] += 50
    found = real_packets.compare_features(table)
    assert found["feature"].iloc[:2].isin(["ncovhist", "non_detections"]).all()
    assert found.columns.tolist() == ["feature", "VS (100, 100)"]


def test_without_real_packets_nothing_is_extracted(tmp_path):
    few = pd.DataFrame({"objectId": ["a", "b"], "classALeRCE": ["VS", "asteroid"], "jd_1": [2458300.5, 2460000.5]})
    few.to_parquet(tmp_path / "few.parquet")
    assert real_packets.read_real(tmp_path / "few.parquet") is None
    enough = pd.DataFrame({"classALeRCE": ["VS", "asteroid", "bogus"] * 20 + ["asteroid"]})
    enough.assign(objectId=range(61), jd_1=[2458300.5] * 60 + [2460000.5]).to_parquet(tmp_path / "enough.parquet")
    assert real_packets.read_real(tmp_path / "enough.parquet")["year"].value_counts().to_dict() == {2018: 60, 2023: 1}
