"""From parameters alone to labels, alerts and an unlabelled set; what is there is not asked for again."""

import fsspec
import numpy as np
import pandas as pd
import pytest

from tests.alerts.test_ztf_archive import PublicArchive
from tests.fake_alerce import Alerce, make_objects
from tests.local_server import serve
from twostamp.alerts.alerce_database import AlerceDatabase, AlerceDatabaseError
from twostamp.alerts.archive import list_sources, read_members
from twostamp.alerts.packet import PacketError, read_keys
from twostamp.analysis.unlabelled_sky import find_unlabelled
from twostamp.data.labels import read_labels
from twostamp.data.sources import (
    PROVENANCE,
    describe_sources,
    find_archive,
    find_labels,
    prepare_inputs,
)
from twostamp.params import make_parameters
from twostamp.taxonomy import LABEL_COLUMNS
from twostamp.utils.fingerprints import describe_input

SECRET = "hush-hush-secret"


@pytest.fixture
def alerce():
    objects = make_objects(60, seed=3)
    names = list(objects)
    classes = {"SNIa": names[:10], "bogus": names[8:20], "AGN": names[20:30]}
    with serve(Alerce(objects, classes)) as server:
        server.names = names
        yield server


def make_values(server, tmp_path, **values):
    rows = [(server.names[9], "SNII"), (server.names[30], "RRL"), (server.names[31], "E"), (server.names[31], "QSO")]
    pd.DataFrame(rows, columns=["oid", "type"]).to_csv(tmp_path / "mine.csv", index=False)
    pd.DataFrame({"objectId": server.names[32:34]}).to_csv(tmp_path / "bogus.csv", index=False)
    reports = [(name, who) for name in server.names[34:36] for who in ("ana", "luis")] + [(server.names[36], "ana")]
    pd.DataFrame(reports, columns=["objectId", "astronomer"]).to_csv(tmp_path / "reports.csv", index=False)
    return {
        "run_name": "sky",
        "archive": "alerce",
        "labels": "assembled",
        "label_csvs": [str(tmp_path / "mine.csv")],
        "label_columns": {"objectId": "oid", "subclassALeRCE": "type"},
        "bogus_csvs": [str(tmp_path / "bogus.csv")],
        "bogus_reports": str(tmp_path / "reports.csv"),
        "broker_labels": ["lc_classifier/SNIa", "stamp_classifier/bogus", "stamp_classifier/AGN"],
        "broker_rate": 5000.0,
        "broker_api_url": server.url,
        "broker_avro_url": server.url,
    } | values


def test_labels_and_alerts_from_parameters(alerce, tmp_path):
    values = make_values(alerce, tmp_path)
    params, names = make_parameters(values), alerce.names
    archive, label_file = prepare_inputs(params, tmp_path / "data")
    table = pd.read_csv(label_file, dtype=str)
    assert list(table) == LABEL_COLUMNS
    labels = table.set_index("objectId")
    assert labels.loc[names[9]].tolist() == ["SN", "SNII"]  # the CSV outranks the classifier
    assert labels.loc[names[20]].tolist() == ["AGN", "AGN-unspecified"]
    assert labels.loc[names[30]].tolist() == ["VS", "RRL"]
    assert names[8] not in labels.index  # two classifiers disagree
    assert names[31] not in labels.index  # the CSV disagrees with itself
    assert set(names[32:36]) <= set(labels.index[labels["classALeRCE"] == "bogus"])
    assert names[36] not in labels.index
    provenance = pd.read_csv(tmp_path / "data" / PROVENANCE)
    assert set(provenance.loc[provenance["objectId"] == names[8], "state"]) == {"conflicting"}
    again, counts = read_labels(label_file)
    assert len(again) == counts["rows read"]

    found = {key.objectId for s in list_sources(archive) for m in read_members(s) for key in read_keys(m.data)}
    asked = {path.split("/")[4] for path in alerce.log if path.endswith("/detections")}
    assert found <= set(labels.index) == asked
    text = describe_sources(params, tmp_path / "data")
    assert "2 objects with conflicting labels" in text
    assert f"objects                   {len(labels):10d}" in text

    n, fetched = len(alerce.log), [describe_input(name) for name in (archive, label_file)]
    assert prepare_inputs(params, tmp_path / "data") == (archive, label_file)
    assert len(alerce.log) == n
    assert [describe_input(name) for name in (archive, label_file)] == fetched  # so that no notebook runs again
    pd.DataFrame({"objectId": names[32:33]}).to_csv(tmp_path / "bogus.csv", index=False)
    prepare_inputs(params, tmp_path / "data")
    assert names[33] not in set(pd.read_csv(label_file)["objectId"])  # another file, other labels


def test_given_alerts_and_labels_are_left_alone(tmp_path):
    params = make_parameters({"archive": "/somewhere", "labels": "/somewhere/labels.csv"})
    assert prepare_inputs(params, tmp_path) == ("/somewhere", "/somewhere/labels.csv")
    simulated = make_parameters({})
    assert find_archive(simulated, tmp_path) == str(tmp_path / "survey")
    assert find_labels(simulated, tmp_path) == str(tmp_path / "survey" / "labels.csv")
    assert prepare_inputs(simulated, tmp_path)[0] == find_archive(simulated, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert "labels: /somewhere/labels.csv" in describe_sources(params, tmp_path)


@pytest.mark.parametrize("whole", [False, True])
def test_alerts_from_the_public_archive(tmp_path, whole):
    path = tmp_path / "labels.csv"
    path.write_text("objectId,classALeRCE,subclassALeRCE\nZTF18a1,SN,SNIa\n")
    with serve(PublicArchive()) as server:
        values = {"archive": "public", "labels": str(path), "nights": "20180601-20180603", "whole_nights": whole}
        params = make_parameters(values | {"nights_url": server.url + "/public"})
        archive, _ = prepare_inputs(params, tmp_path / "data")
    keys = []
    for source in list_sources(archive):
        for member in read_members(source):
            try:
                keys += read_keys(member.data)
            except PacketError:
                assert member.name == "damaged.avro"
    assert {key.objectId for key in keys} == ({f"ZTF18a{n}" for n in range(5)} if whole else {"ZTF18a1"})
    assert "not in the archive         1" in describe_sources(params, tmp_path / "data")


def test_nothing_to_label_is_an_error(alerce, tmp_path):
    params = make_parameters(
        make_values(
            alerce, tmp_path, label_csvs=[], bogus_csvs=[], bogus_reports="", broker_labels=["lc_classifier/LPV"]
        )
    )
    with pytest.raises(ValueError, match="give no label"):
        prepare_inputs(params, tmp_path / "data")
    assert not (tmp_path / "data" / "labels.csv").exists()


def test_a_class_that_the_broker_no_longer_has_is_named_and_costs_itself_alone(alerce, tmp_path, caplog):
    values = {"broker_labels": ["lc_classifier/SNIa", "lc_classifier/LPV"], "archive": "/somewhere"}
    _, label_file = prepare_inputs(make_parameters(make_values(alerce, tmp_path, **values)), tmp_path / "data")
    said = [record.getMessage() for record in caplog.records if "ALeRCE" in record.getMessage()]
    assert said == ["ALeRCE has no object of lc_classifier/LPV; ALeRCE may have renamed the classifier or the class"]
    assert "SNIa" in set(pd.read_csv(label_file)["subclassALeRCE"])


def test_labels_may_lie_at_an_address_and_are_read_again_when_they_change(tmp_path):
    with fsspec.open("memory://labels/mine.csv", "w") as stream:
        stream.write("oid,class\na,SN\n")
    values = {"archive": "/somewhere", "labels": "assembled", "label_csvs": ["memory://labels/mine.csv"]}
    params = make_parameters(values)
    assert len(pd.read_csv(prepare_inputs(params, tmp_path)[1])) == 1
    with fsspec.open("memory://labels/mine.csv", "w") as stream:
        stream.write("oid,class\na,SN\nb,VS\n")
    assert len(pd.read_csv(prepare_inputs(params, tmp_path)[1])) == 2


def fake_database(monkeypatch, names):
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"objectId": names, "ra": rng.uniform(0, 360, len(names)), "dec": 0.0, "n_alerts": 3})
    monkeypatch.setenv("TWOSTAMP_DATABASE", f"postgresql://reader:{SECRET}@127.0.0.1:1/ztf")
    monkeypatch.setattr(AlerceDatabase, "search_cone", lambda self, ra, dec, *_, **__: table if dec == 0 else table[:0])
    monkeypatch.setattr(
        AlerceDatabase, "sample_asteroids", lambda self, n, seed: table[["objectId"]][:n].assign(ndet=2)
    )


def test_unlabelled_objects_of_the_database_are_fetched(alerce, tmp_path, monkeypatch):
    fake_database(monkeypatch, alerce.names[40:55])
    values = {"unlabelled_from": "database", "database": "$TWOSTAMP_DATABASE", "cone_step": 30.0}
    params = make_parameters(make_values(alerce, tmp_path, **values))
    labelled = pd.Series(alerce.names[:42])
    archive, selected, counts = find_unlabelled(None, params, tmp_path, labelled)
    assert selected["objectId"].tolist() == sorted(alerce.names[42:55])
    assert counts["labelled"] == 2
    found = {key.objectId for s in list_sources(archive) for m in read_members(s) for key in read_keys(m.data)}
    assert found <= set(alerce.names[42:55])
    n = len(alerce.log)
    assert find_unlabelled(None, params, tmp_path, labelled)[0] == archive
    assert len(alerce.log) == n


def test_no_secret_in_any_output(alerce, tmp_path, monkeypatch, capsys):
    fake_database(monkeypatch, alerce.names[40:55])
    values = {"unlabelled_from": "database", "database": "$TWOSTAMP_DATABASE", "asteroids": 5, "cone_step": 45.0}
    params = make_parameters(make_values(alerce, tmp_path, **values))
    prepare_inputs(params, tmp_path / "data")
    find_unlabelled(None, params, tmp_path / "data", pd.Series(dtype=str))
    print(describe_sources(params, tmp_path / "data"), params, params.model_dump_json())
    monkeypatch.undo()
    monkeypatch.setenv("TWOSTAMP_DATABASE", f"postgresql://reader:{SECRET}@127.0.0.1:1/ztf")
    with pytest.raises(AlerceDatabaseError) as caught:
        AlerceDatabase(params.database).search_cone(0, 0, 1, 1, 1)
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    captured = capsys.readouterr()
    assert len(written) > 50
    assert not any(SECRET.encode() in content for content in written)
    assert SECRET not in captured.out + captured.err + str(caught.value) + repr(caught.value)
