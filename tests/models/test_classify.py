"""One answer an object of a folder: at the second alert where there is one, at the first otherwise."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.conftest import STAMP, make_alert
from twostamp import cli, load_classifier
from twostamp.alerts.packet import read_schema, write_packets
from twostamp.data.feature_ranges import FEATURE_RANGE
from twostamp.data.features import ALL_FEATURES
from twostamp.data.survey_age import SurveyAges
from twostamp.models import Adapter, adapter
from twostamp.stream import NightModel

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
        name: write(folder, name, make_alert(objectid, candid, jd, ndethist=ndethist, ncovhist=40))
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


def test_the_commands_adapt_a_model_and_use_the_adapter(shipped, archive, tmp_path, monkeypatch, capsys):
    model, file = tmp_path / "model", tmp_path / "model" / "adapter.json"
    features = np.random.default_rng(1).uniform(1, 9, (200, len(ALL_FEATURES))).astype(np.float32)
    ages = SurveyAges.measure([features, features], np.arange(200) % len(shipped.classes))
    replace(shipped, ages=ages).save(model)
    command = ["adapt", str(archive[0]), "--model", str(model)]
    assert cli.main(command) == 2
    assert "3 objects are too few" in capsys.readouterr().err
    monkeypatch.setattr(adapter, "LEAST", 3)
    assert cli.main(command) == 0
    assert f"{file} has an adapter to 3 objects of 2017-09-05" in capsys.readouterr().out
    assert Adapter.load(file).alerts == 3
    classify = ["classify", str(archive[0]), "--model", str(model), "--adapter", str(file)]
    assert cli.main([*classify, "-o", str(tmp_path / "a.csv")]) == 1  # two packets are left out
    found = pd.read_csv(tmp_path / "a.csv").set_index("objectId")
    adapted = load_classifier(model, file)
    expected = adapted.at_first_alert().predict([(archive[1]["c1"],)])[0]
    np.testing.assert_allclose(found.loc["ZTF18c", list(shipped.classes)].to_numpy(float), expected, atol=1e-4)
    plain = shipped.at_first_alert().predict([(archive[1]["c1"],)])[0]
    assert np.abs(expected - plain).max() > 1e-4
    assert NightModel.load(model, adapter=file).version != NightModel.load(model).version
    assert cli.main([*classify[:-1], str(tmp_path / "none.json"), "-o", str(tmp_path / "b.csv")]) == 2
    assert "holds no adapter" in capsys.readouterr().err
