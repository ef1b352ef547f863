"""One answer an object of a folder: at the second alert where there is one, at the first otherwise."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.conftest import STAMP, make_alert
from twostamp import cli, load_classifier
from twostamp.alerts.packet import read_schema, write_packets
from twostamp.data.feature_ranges import FEATURE_RANGE

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shipped():
    return load_classifier()


def write(folder, name, alert):
    (folder / f"{name}.avro").write_bytes(write_packets([alert], read_schema()))
    return alert


@pytest.fixture
def archive(tmp_path):
    """One object with two alerts, one with one, one that was seen before, one with a cut stamp, one damaged file."""
    folder = tmp_path / "alerts"
    folder.mkdir()
    alerts = {
        name: write(folder, name, make_alert(objectid, candid, jd, ndethist=ndethist))
        for name, objectid, candid, jd, ndethist in (
            ("a2", "ZTF18a", 2, 2458003.5, 2),
            ("a1", "ZTF18a", 1, 2458001.5, 1),
            ("b1", "ZTF18b", 3, 2458001.5, 1),
            ("c1", "ZTF18c", 4, 2458001.5, 9),
        )
    }
    write(folder, "d1", make_alert("ZTF18d", 5, 2458001.5, stamps=(STAMP, None, STAMP)))
    (folder / "e1.avro").write_bytes(b"Obj")
    return folder, alerts


def test_every_object_has_one_answer_from_the_alerts_it_has(shipped, archive):
    folder, alerts = archive
    answers = shipped.predict_folder(folder)
    table = answers.table.set_index("objectId")
    assert table.index.tolist() == ["ZTF18a", "ZTF18b", "ZTF18c"]
    assert table["n_alerts"].tolist() == [2, 1, 1]
    assert table["candid_2"].tolist() == [2, pd.NA, pd.NA]
    assert table["seen_before"].tolist() == [False, False, True]
    both = shipped.predict([(alerts["a1"], alerts["a2"])])[0]
    alone = shipped.at_first_alert().predict([(alerts["b1"],)])[0]
    classes = list(shipped.classes)
    np.testing.assert_allclose(table.loc["ZTF18a", classes].to_numpy(float), both, atol=1e-4)
    np.testing.assert_allclose(table.loc["ZTF18b", classes].to_numpy(float), alone, atol=1e-4)
    assert set(answers.left_out["member"]) == {"d1.avro", "e1.avro"}


def test_an_alert_needs_only_what_the_model_uses_and_numbers_of_any_type(shipped, tmp_path):
    schema = read_schema()
    fields = next(field for field in schema["fields"] if field["name"] == "candidate")["type"]["fields"]
    for field in fields:
        field["type"] = "string" if field["name"] == "ndethist" else field["type"]
    fields[:] = [field for field in fields if field["name"] not in ("rb", "distnr", "magnr")]
    odd = make_alert("ZTF18b", 2, 2458001.5, ndethist="4")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "2.avro").write_bytes(write_packets([odd], schema))
    answers = shipped.predict_folder(tmp_path / "b")
    assert answers.table["seen_before"].tolist() == [True]
    assert answers.left_out.empty


def test_a_night_unlike_the_training_set_is_said(shipped, archive):
    ranges = {name: [-1e9, -1e8] if name == "magpsf" else [-1e9, 1e9] for name in shipped.card[FEATURE_RANGE]}
    odd = replace(shipped, card={**shipped.card, FEATURE_RANGE: ranges})
    assert odd.predict_folder(archive[0]).unusual == {"magpsf": 1.0}


def test_the_command_writes_answers_and_what_was_left_out(archive, tmp_path, capsys):
    output = tmp_path / "classes.csv"
    assert cli.main(["classify", str(archive[0]), "-o", str(output)]) == 1
    assert pd.read_csv(output)["objectId"].tolist() == ["ZTF18a", "ZTF18b", "ZTF18c"]
    assert pd.read_csv(tmp_path / "classes.left_out.csv")["reason"].notna().all()
    said = capsys.readouterr()
    assert "3 objects" in said.out
    assert "2 packets were left out" in said.err
    assert cli.main(["classify", str(archive[0]), "-o", str(tmp_path / "classes.xls")]) == 2
    assert "neither a .csv nor a .parquet" in capsys.readouterr().err
    assert cli.main(["classify", str(tmp_path / "nowhere"), "-o", str(output)]) == 2


def test_the_shipped_classifier_says_what_it_is(shipped):
    assert shipped.card["trained on"] == "simulated survey"
    assert set(shipped.classes) == {"AGN", "SN", "VS", "asteroid", "bogus"}
    assert shipped.card["not for"]
    assert shipped.card["test"]["second alert"]["accuracy"] > 0.8
