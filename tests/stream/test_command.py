"""``twostamp tonight`` with the classifier that the package ships."""

import json
import os
import subprocess
import sys
from contextlib import closing

import numpy as np
import pandas as pd
import pytest

from tests.conftest import make_alert, make_stamp
from tests.stream.stub import StubModel, make_sink
from twostamp import cli, load_classifier
from twostamp.alerts.packet import read_schema, write_packets
from twostamp.models.calibration import Calibration, save_calibration
from twostamp.models.classifier import PRETRAINED, ModelError
from twostamp.stream import FILE, Night, NightModel
from twostamp.stream.scorer import Scorer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Alerts of noise: 30 objects, half of them with a second alert, one of a bad stamp."""
    folder, rng = tmp_path_factory.mktemp("alerts"), np.random.default_rng(0)
    for n in range(45):
        values = {"magpsf": float(rng.uniform(16, 20)), "ndethist": 1 + n // 30, "ra": float(n)}
        stamps = tuple(make_stamp(seed=3 * n + k) for k in range(3)) if n != 40 else (None,) * 3
        alert = make_alert(f"ZTF18{n % 30:02}", n + 1, 2458001.5 + n / 100, stamps=stamps, **values)
        (folder / f"{n:02}.avro").write_bytes(write_packets([alert], read_schema()))
    return folder


@pytest.fixture(scope="module")
def scored(archive, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tonight")
    assert cli.main(["tonight", "--archive", str(archive), "-o", str(folder)]) == 0
    return folder


def test_the_last_answers_are_those_of_the_batch_to_the_bit(archive, scored):
    batch = load_classifier().predict_folder(archive).table
    latest = Night(scored / FILE).latest()
    assert latest["object_id"].tolist() == batch["objectId"].tolist()
    assert latest["n_alerts"].tolist() == batch["n_alerts"].tolist()
    assert latest["class"].tolist() == batch["class"].tolist()
    for name in load_classifier().classes:
        np.testing.assert_array_equal(latest[f"p_{name}"], batch[name].astype(float))


def test_a_night_is_scored_once(archive, scored, capsys):
    before = {path: path.stat().st_mtime_ns for path in scored.glob("2*")}
    assert cli.main(["tonight", "20170905", "--archive", str(archive), "-o", str(scored)]) == 0
    said = capsys.readouterr().out
    assert "45 alerts read: 30 first, 14 second, 0 later, 0 duplicate, 0 not our programid, 1 quarantined" in said
    assert {path: path.stat().st_mtime_ns for path in scored.glob("2*")} == before
    assert {path.name for path in before} == {"20170905.parquet", "20170905.vot", "20170905_alerce.csv"}
    table = pd.read_parquet(scored / "20170905.parquet")
    assert set(table["model"]) == {"one_or_two_drift_safe"}
    assert "data" not in table  # no simulated survey
    assert len(list((scored / "quarantine").iterdir())) == 1


@pytest.fixture
def tonight(tmp_path, monkeypatch):
    """The command with a model that costs nothing; gives the predictions."""
    monkeypatch.setattr(NightModel, "load", lambda *_: StubModel())
    monkeypatch.setattr(NightModel, "of_run", lambda *_: StubModel())

    def run(*arguments):
        assert cli.main(["tonight", *map(str, arguments), "-o", str(tmp_path / "out")]) == 0
        with closing(make_sink(tmp_path / "out" / FILE)) as sink:
            return [row for _, row in sink.answers_after(0, 99)]

    return run


def write_alert(path, name, candid, jd, **values):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(write_packets([make_alert(name, candid, jd, **values)], read_schema()))


def test_nights_may_come_in_any_order(tonight, tmp_path):
    """An object of an old night waits for its second alert, although a newer night was scored before."""
    for folder, alert in {
        "new": ("ZTF26", 1, 2461000.5),
        "a": ("ZTF18", 2, 2458000.5),
        "b": ("ZTF18", 3, 2458003.5),
    }.items():
        write_alert(tmp_path / folder / "1.avro", *alert)
        answers = tonight("--archive", tmp_path / folder)
    assert (answers[-1]["candid_1"], answers[-1]["candid_2"]) == (2, 3)
    os.utime(tmp_path / "a" / "1.avro")
    assert tonight("--archive", tmp_path / "a") == answers


def test_a_run_that_fetched_its_alerts_reads_those(tonight, tmp_path, monkeypatch):
    monkeypatch.setenv("TWOSTAMP_OUTPUTS", str(tmp_path))
    write_alert(tmp_path / "alerce" / "data" / "alerts" / "ztf_public_20170904" / "1.avro", "ZTF17", 1, 2458001.5)
    assert [row["object_id"] for row in tonight("20170904", "--run", "alerce")] == ["ZTF17"]


def test_an_export_is_made_again_where_it_is_not_whole_or_of_another_option(tonight, tmp_path):
    write_alert(tmp_path / "alerts" / "1.avro", "ZTF17", 1, 2458001.5, ssdistnr=1.0)
    tonight("--archive", tmp_path / "alerts")
    out = tmp_path / "out"
    whole = {path.name: path.read_bytes() for path in out.glob("2*")}
    (out / "20170905.vot").unlink()  # as after a kill in the midst
    tonight("--archive", tmp_path / "alerts")
    assert {path.name: path.read_bytes() for path in out.glob("2*")}.keys() == whole.keys()
    for option, changed in ((["--alerce-rules"], True), ([], False)):
        tonight("--archive", tmp_path / "alerts", *option)
        assert ((out / "20170905_alerce.csv").read_bytes() != whole["20170905_alerce.csv"]) == changed


def test_a_damaged_archive_is_told_and_what_it_has_is_answered(archive, tmp_path, capsys):
    tarball = tmp_path / "ztf_public_20170906.tar.gz"
    subprocess.run(["tar", "-czf", tarball, "-C", archive, "."], check=True)
    tarball.write_bytes(tarball.read_bytes()[:-1000])
    out = tmp_path / "out"
    assert cli.main(["tonight", "--archive", str(tarball), "-o", str(out)]) == 1
    assert "is damaged" in capsys.readouterr().err
    assert len(Night(out / FILE).latest()) > 20


def test_what_is_missing_is_one_sentence(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TWOSTAMP_OUTPUTS", str(tmp_path / "outputs"))
    out = ["-o", str(tmp_path)]
    for arguments, said in (
        ([], "name a run, or an --archive"),
        (["--run", "quick"], "quick has no alerts yet: get them with `twostamp run quick --only 01`"),
        (["--archive", str(tmp_path)], "holds no .tar.gz"),
        (["x", "--archive", str(tmp_path)], "is no night"),
    ):
        assert cli.main(["tonight", *arguments, *out]) == 2
        assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_module_is_the_command():
    command = [sys.executable, "-m", "twostamp.stream", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "--output-topic" in shown


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory):
    """The shipped classifier with a calibration, and one of a run that stands beside a two-alert one."""
    folder = tmp_path_factory.mktemp("models") / "one_or_two"
    load_classifier().save(folder)
    fitted = Calibration(2.0, (0.3,) * 5, 0.9, (0.2, 0.01, 0.5, 0.09, 0.2))
    save_calibration(folder, {2: fitted})
    return folder


def test_a_calibration_beside_the_model_is_applied(archive, calibrated, tmp_path):
    assert cli.main(["tonight", "--archive", str(archive), "-o", str(tmp_path), "--model", str(calibrated)]) == 0
    answers = Night(tmp_path / FILE).answers()
    first, second = answers[answers["n_alerts"] == 1], answers[answers["n_alerts"] == 2]
    assert first["conformal"].isna().all()
    assert first["night_SN"].isna().all()
    np.testing.assert_allclose(second[[name for name in answers if name.startswith("night_")]].sum(axis=1), 1)
    for row in second.to_dict("records"):
        members = [name for name in row["conformal"].split(",") if name]
        assert all(row[f"p_{name}"] >= 0.3 for name in members)
        assert members == [name for name in row["ranking"].split(",") if name in members]


def test_a_run_answers_with_its_own_model(calibrated, tmp_path):
    own, shipped = NightModel.of_run(calibrated.parent), NightModel.of_run(tmp_path)
    assert own.name == shipped.name
    assert own.version != shipped.version
    assert shipped.version == NightModel.load().version
    assert set(own.calibrations) == {2}
    card = json.loads((PRETRAINED / "card.json").read_text())
    assert shipped.classes == tuple(card["classes"])
    assert Scorer(shipped).model.fields >= {"fwhm", "magpsf"}


def test_a_model_for_first_alerts_that_is_none_is_refused():
    with pytest.raises(ModelError, match="no model for first alerts"):
        NightModel.load(PRETRAINED, PRETRAINED)
