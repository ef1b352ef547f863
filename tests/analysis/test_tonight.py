"""What notebook 16 reads from a night's answers."""

import sqlite3
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tests.conftest import make_alert
from tests.stream.stub import CLASSES, StubModel
from tests.stream.test_sink import make_payloads, sink, take  # noqa: F401
from twostamp.analysis import tonight
from twostamp.params import ParameterError, Parameters
from twostamp.plots.tonight import plot_sky, plot_times
from twostamp.stream.night import Night
from twostamp.stream.payloads import Extent, Place

EXPOSURES = 30


@pytest.fixture
def night(sink):  # noqa: F811
    """Two objects in each exposure but one, which has forty; some have a second alert on the next night."""
    alerts = []
    for n in range(EXPOSURES):
        for _ in range(40 if n == 7 else 2):
            alerts.append(make_alert(f"ZTF18{len(alerts):03}", len(alerts) + 1, 2458001.6 + n / 100, ra=float(n)))
    again = [make_alert(f"ZTF18{n:03}", 1000 + n, 2458002.6, ndethist=2) for n in range(5)]
    take(sink, Extent(Place("night", 0), 0, 200), *make_payloads(*alerts, *again))
    return Night(sink.path, "20170905")


def test_answers_are_counted_by_class_and_alerts(night):
    counts = tonight.count_answers(night)
    assert counts["class"].tolist() == list(CLASSES)
    assert counts["at the first alert"].sum() == 2 * (EXPOSURES - 1) + 40
    assert "at the second" not in counts
    second = tonight.count_answers(Night(night.path, "20170906"))
    assert second["at the second"].sum() == 5


def test_latency_is_from_arrival_to_answer(night):
    with sqlite3.connect(night.path) as connection:
        connection.execute("UPDATE answers SET received = 0, scored = jd - 2458001.6")
    row = tonight.measure_latency(night).iloc[0]
    assert row["answers"] == 98
    assert row["longest (s)"] == pytest.approx(0.29)
    assert row["p50 (s)"] <= row["p99 (s)"] <= row["longest (s)"]


def test_candidates_show_both_answers(night):
    table = tonight.list_candidates(Night(night.path, "20170906"), "SN", 3)
    answers = night.answers().set_index(["object_id", "n_alerts"])["p_SN"]
    assert len(table) == 3
    assert table["at the second"].is_monotonic_decreasing
    for row in table.to_dict("records"):
        assert row["at the first"] == answers[row["object_id"], 1]
    assert (tonight.list_candidates(night, "SN", 98)["at the second"].notna()).sum() == 5


def test_a_crowded_exposure_is_found(night):
    exposures = tonight.count_exposures(night)
    assert len(exposures) == EXPOSURES
    assert np.flatnonzero(exposures["crowded"]).tolist() == [7]
    answers = night.answers()
    assert len(plot_times(answers[answers["night"] == night.night], exposures, CLASSES).axes) == 1
    assert len(plot_sky(night.latest(), CLASSES).axes) == 1


def test_a_night_unlike_the_training_set_rings(night, monkeypatch):
    rng = np.random.default_rng(0)
    names = ["magpsf", "fwhm"]
    monkeypatch.setitem(tonight.FEATURE_LISTS, "drift_safe_no_coordinates", tuple(names))
    values = rng.normal(size=(600, len(tonight.ALL_FEATURES)))
    table = pd.DataFrame({"jd_1": np.arange(600.0)})
    monkeypatch.setattr(tonight, "read_metadata", lambda _: table)
    monkeypatch.setattr(tonight, "compute_features", lambda table, _: values if len(table) == 600 else shifted)
    scored = tonight.ScoredNight(night, SimpleNamespace(name="stub"), [])
    shifted = rng.normal(size=(98, values.shape[1]))
    calm = tonight.watch_drift(scored, None)
    assert calm["batches"].tolist() == [6, 6]
    assert (calm["index"] < 0.25).all()
    shifted[:, tonight.ALL_FEATURES.index("fwhm")] += 3
    drift = tonight.watch_drift(scored, None)
    assert drift["feature"].tolist() == ["fwhm", "magpsf"]
    assert drift["rings"].tolist() == [True, calm.set_index("feature").loc["magpsf", "rings"]]
    exposures, candidates = tonight.count_exposures(night), tonight.list_candidates(night, "SN", 5)
    said = tonight.summarise_night(scored, candidates, drift, exposures)
    assert "drift alarm: fwhm" in said
    assert "crowded exposures: 1 of 30, with 40 answers" in said


def test_of_a_simulated_survey_the_nights_before_are_scored_too(tmp_path, monkeypatch, make_packet):
    import io
    import tarfile

    survey = tmp_path / "data" / "survey"
    survey.mkdir(parents=True)
    for night, candids in (("20170905", [1, 2]), ("20170906", [3, 4, 5]), ("20170907", [6])):
        with tarfile.open(survey / f"ztf_public_{night}.tar.gz", "w:gz") as tar:
            for candid in candids:
                data = make_packet(f"ZTF18{candid % 2}", candid, 2458001.6 + int(night[-1]) - 5 + candid / 100)
                member = tarfile.TarInfo(f"{candid}.avro")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    monkeypatch.setattr(tonight.stream.NightModel, "of_run", lambda _: StubModel())
    scored = tonight.score_run(tmp_path, Parameters())
    assert scored.answers.night == "20170906"
    assert scored.account[0].startswith("5 alerts read: 2 first, 2 second, 1 later")
    assert sorted(path.name for path in (tmp_path / "tonight").glob("*.parquet")) == ["20170906.parquet"]
    assert tonight.score_run(tmp_path, Parameters()).account == scored.account
    with pytest.raises(ParameterError, match="name the one"):
        tonight.score_run(tmp_path, Parameters(archive=str(survey), labels=str(tmp_path)))
