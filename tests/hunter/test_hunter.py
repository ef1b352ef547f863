"""Hunting from Python: what is shown, in which order, what a verdict notes, and what leaves."""

import json

import numpy as np
import pandas as pd
import pytest

from tests.hunter.night import START, FakeNight, make_object
from twostamp.alerts import extract_first_two
from twostamp.data import read_labels
from twostamp.data.features import ALL_FEATURES, PACKET_FIELDS
from twostamp.hunter import Hunter, HunterError, VerdictError, VerdictStore, describe_dry_run


@pytest.fixture(scope="module")
def night():
    return FakeNight(30)


@pytest.fixture
def hunter(night, tmp_path):
    return Hunter(night, tmp_path / "verdicts.sqlite", person="ana")


def test_what_is_known_of_a_candidate(hunter):
    table = hunter.candidates.set_index("object_id")
    assert table["rank"].tolist() == list(range(1, 31))
    assert table["p"].is_monotonic_decreasing
    once, twice = table[table["n_alerts"] == 1], table[table["n_alerts"] == 2]
    assert once["change"].isna().all()
    assert (once["p"] == once["p_first"]).all()
    assert np.allclose(twice["change"], twice["p"] - twice["p_first"])
    assert (once["age"] == 0).all()
    assert (twice["age"] == 3).all()
    assert table["entropy"].between(0, 1).all()
    assert table["simulated"].all()
    assert set(table["band"]) == {"r"}


def test_who_never_looked_like_it_is_left_out(hunter, night, tmp_path):
    some = Hunter(night, tmp_path / "verdicts.sqlite", at_least=0.3).candidates
    best = hunter.candidates[["p", "p_first"]].max(axis=1)
    assert 0 < len(some) < 30
    assert set(some["object_id"]) == set(hunter.candidates.loc[best >= 0.3, "object_id"])
    assert (some["p"] < 0.3).any()  # the second alert changed the answer
    assert Hunter(night, tmp_path / "verdicts.sqlite", at_least=2.0).candidates.empty


def test_orders(hunter):
    assert hunter.shown["p"].is_monotonic_decreasing
    assert hunter.order("age").shown["age"].is_monotonic_increasing
    assert hunter.order("rise").shown["rise"].dropna().is_monotonic_decreasing
    assert hunter.shown["rise"].isna().tolist() == sorted(hunter.shown["rise"].isna())  # unknown comes last
    assert hunter.order("informative").shown["entropy"].is_monotonic_decreasing
    assert hunter.order("mag", ascending=False).shown["mag"].is_monotonic_decreasing
    random = hunter.order("random").shown["object_id"].tolist()
    assert random == hunter.order("random").shown["object_id"].tolist()
    with pytest.raises(HunterError, match="no order"):
        hunter.order("beauty")


def test_filters(hunter):
    shown = hunter.filter("p_SN > 0.2 and n_alerts == 2 and not near_star").shown
    assert 0 < len(shown) < 30
    assert (shown["p_SN"] > 0.2).all()
    assert (shown["n_alerts"] == 2).all()
    for query in ("p_SN >", "beauty > 3", "p_SN + 1", "__import__('os')"):
        with pytest.raises(HunterError, match="query"):
            hunter.filter(query)
    assert len(hunter.shown) == len(shown)  # a bad query changes nothing
    assert len(hunter.filter().shown) == 30
    hunter.filter("p_SN > 2")
    with pytest.raises(HunterError, match="no candidate is shown"):
        hunter.verdict("SN")


def test_moving_and_staying(hunter):
    assert hunter.go(100).place == 29
    assert hunter.go(-1).place == 0
    name = hunter.go(7).current["object_id"]
    assert hunter.blind().current["object_id"] == name
    assert hunter.blind(False).order("rise").place == 0
    assert hunter.select(name).current["object_id"] == name
    hunter.filter(f"object_id != '{name}'")
    assert hunter.place == 0
    with pytest.raises(HunterError, match="is not among"):
        hunter.select(name)


def test_a_verdict_notes_what_was_shown_and_goes_on(hunter):
    row = hunter.go(1).current
    hunter.verdict("bogus", kind="spike", seconds=1.5)
    assert hunter.place == 2
    (event,) = hunter.store.events().itertuples()
    assert json.loads(event.candids) == [c for c in (row["candid_1"], row["candid_2"]) if not pd.isna(c)]
    assert json.loads(event.scores)["SN"] == pytest.approx(row["p_SN"])
    assert (event.model, event.kind, event.seconds, event.simulated) == ("0123abcd", "spike", 1.5, True)
    assert hunter.progress() == "1 of 30 judged by ana · simulated survey"
    hunter.comment("a cross")
    assert hunter.place == 2
    assert hunter.undo() == hunter.current["object_id"]
    assert hunter.undo() == row["object_id"]
    assert hunter.current["object_id"] == row["object_id"]
    assert hunter.undo() == ""
    with pytest.raises(VerdictError):
        hunter.verdict("nova")


def test_a_new_hunter_finds_all_verdicts(hunter, night):
    hunter.verdict("SN")
    again = Hunter(night, hunter.store.path, person="ana")
    assert again.judged()["verdict"].tolist() == ["SN"]
    assert Hunter(night, hunter.store.path, person="bo").judged().empty


def test_blind_mode_tells_no_score(hunter):
    by_score = hunter.shown["object_id"].tolist()
    assert hunter.blind().shown["object_id"].tolist() != by_score
    hunter.verdict("SN")
    assert hunter.store.events()["scores"].tolist() == [""]
    assert all(map(hunter.is_hidden, ("p", "p_SN", "night_SN", "rank", "conformal", "entropy", "change")))
    assert not any(map(hunter.is_hidden, ("mag", "rise", "object_id", "near_star")))
    assert hunter.order("mag").shown["mag"].is_monotonic_increasing
    assert hunter.blind(False).order().shown["object_id"].tolist() == by_score


def test_repeats_are_shown_later_and_measure_self_agreement(night, tmp_path):
    hunter = Hunter(night, tmp_path / "verdicts.sqlite", person="ana", repeats=0.2, seed=3)
    shown = hunter.shown
    assert len(shown) == 36
    assert shown["repeated"].sum() == 6
    firsts = shown.reset_index(drop=True).groupby("object_id")["repeated"].agg(list)
    assert all(times in ([False], [False, True]) for times in firsts)
    for again in shown["repeated"].tolist():
        hunter.verdict("bogus" if again else "SN")
    (row,) = hunter.agreement().itertuples()
    assert (row.person, row.other, row.objects, row.same) == ("ana", "ana", 6, 0.0)
    assert set(hunter.final()["verdict"]) == {"SN"}  # the second time counts for nothing else


def test_two_people_meet(hunter, night, tmp_path):
    other = Hunter(night, tmp_path / "other.sqlite", person="bo")
    for verdict in ("SN", "SN", "bogus"):
        hunter.verdict(verdict)
    for verdict in ("SN", "bogus", "bogus"):
        other.verdict(verdict)
    assert hunter.merge(other.store.path) == 3
    assert hunter.agreement()["kappa"].tolist() == pytest.approx([0.4])
    assert hunter.disagreements().index.tolist() == [hunter.shown["object_id"].iloc[1]]
    assert len(hunter.final()) == 3


def test_features_are_ranked_in_training(night, tmp_path):
    rows = [dict.fromkeys(PACKET_FIELDS, float(value)) | {"isdiffpos": "t", "fid": 1} for value in range(18, 22)]
    training = pd.concat([pd.DataFrame(rows).add_suffix(f"_{alert}") for alert in (1, 2)], axis=1)
    hunter = Hunter(night, tmp_path / "verdicts.sqlite", training=training)
    twice = int(np.flatnonzero(hunter.candidates["n_alerts"] == 2)[0])
    values, percentiles = hunter.features(twice)
    mag = ALL_FEATURES.index("magpsf")
    below = np.searchsorted(range(18, 22), values[:, mag])
    assert percentiles[:, mag].tolist() == (25.0 * below).tolist()
    once = int(np.flatnonzero(hunter.candidates["n_alerts"] == 1)[0])
    values, percentiles = hunter.features(once)
    assert np.isnan(values[1]).all()
    assert np.isnan(percentiles[1]).all()


def test_exports(hunter, tmp_path):
    hunter.order("mag")
    for verdict in ("SN", "bogus", "not SN", "unsure"):
        hunter.verdict(verdict)
    names = hunter.shown["object_id"].tolist()
    table = hunter.export("csv", tmp_path / "night.csv")
    assert len(table) == len(pd.read_csv(tmp_path / "night.csv")) == 30
    assert table["verdict"].notna().sum() == 4
    assert table["simulated"].all()
    dry_run = hunter.export("tns", tmp_path / "tns.json", reporting_group="74", reporter="A. Author")
    assert dry_run.refused.to_numpy().tolist() == [[names[0], "it comes from a simulated survey"]]
    assert json.loads((tmp_path / "tns.json").read_text()) == {"at_report": {}}
    refused = "1 refused: it comes from a simulated survey"
    assert describe_dry_run(dry_run) == f"0 would be reported; nothing is sent\n{refused}"
    with pytest.raises(HunterError, match="no export"):
        hunter.export("tweet", tmp_path / "x")


def test_real_candidates_are_reported(tmp_path):
    night = FakeNight(simulated=False, objects=[make_object(1), make_object(2, isdiffpos="f")])
    hunter = Hunter(night, tmp_path / "verdicts.sqlite")
    hunter.verdict("SN")
    hunter.verdict("SN")
    dry_run = hunter.export("tns", tmp_path / "tns.json", reporting_group="74", reporter="A. Author")
    (report,) = dry_run.report["at_report"].values()
    assert report["internal_name"] == night.objects[0][0]["objectId"]
    assert report["discovery_datetime"].startswith("2023-02-25")  # START
    assert START == 2460000.5
    assert "negative" in dry_run.refused["reason"].iloc[0]
    assert "negative" in (tmp_path / "tns.refused.csv").read_text()


@pytest.fixture
def labelled(hunter, tmp_path):
    for verdict in ("SN", "bogus", "not SN"):
        hunter.verdict(verdict)
    hunter.export("labels", tmp_path / "set")
    return tmp_path / "set"


def test_verdicts_are_a_labelled_set(hunter, labelled):
    labels, counts = read_labels(labelled / "labels.csv")
    assert counts["kept"] == counts["rows read"] == 2
    classes = labels.set_index("objectId")["classALeRCE"].to_dict()
    assert classes == dict(zip(hunter.shown["object_id"], ["SN", "bogus"]))
    table = pd.read_csv(labelled / "candids.csv", dtype={"candid_2": "Int64"})
    candids = pd.concat([table["candid_1"], table["candid_2"].dropna()]).astype(str)
    assert sorted(path.stem for path in (labelled / "packets").iterdir()) == sorted(candids)


@pytest.mark.slow
def test_a_run_extracts_the_labelled_set(labelled, spark, tmp_path):
    labels, _ = read_labels(labelled / "labels.csv")
    extract_first_two(spark, str(labelled / "packets"), labels, tmp_path / "data")
    first = pd.read_parquet(tmp_path / "data" / "first_alerts.parquet")
    assert sorted(first["objectId"]) == sorted(labels["objectId"])
    assert set(first["classALeRCE"]) == {"SN", "bogus"}


def test_nothing_to_learn_from(hunter, tmp_path):
    hunter.verdict("unsure")
    with pytest.raises(HunterError, match="nothing to train on"):
        hunter.export("labels", tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_a_target_that_the_model_does_not_know(night, tmp_path):
    with pytest.raises(HunterError, match="kilonova"):
        Hunter(night, tmp_path / "verdicts.sqlite", target="kilonova")


def test_a_store_can_be_read_beside_the_hunter(hunter):
    hunter.verdict("SN")
    assert len(VerdictStore(hunter.store.path, "reader").events()) == 1
