"""From parameters to a data set on a local server that answers as ALeRCE: notebook 01, then the data set."""

import nbformat
import pandas as pd
import pytest

from tests.fake_alerce import Alerce
from tests.local_server import serve
from tests.pipeline.test_notebooks import find_chatter
from twostamp.alerts.archive import iter_members
from twostamp.alerts.packet import read_packets
from twostamp.data.release import open_dataset, write_dataset
from twostamp.params import make_parameters
from twostamp.pipeline.notebooks import run_notebooks
from twostamp.simulation.survey import write_survey
from twostamp.utils.paths import outputs_root

SECRET = "hush-hush-secret"


@pytest.mark.slow
def test_from_parameters_to_a_data_set(tmp_path, monkeypatch):
    survey = tmp_path / "survey"
    write_survey(survey, pairs_per_class=6, unlabelled_objects=0, nights=24, seed=1, workers=1)
    labels = pd.read_csv(survey / "labels.csv", dtype=str, keep_default_na=False)
    objects = {}
    for member in iter_members(str(survey), progress=False):
        try:
            packet = read_packets(member.data)[0]
        except ValueError:
            continue  # the survey holds damaged packets, which no broker passes on
        objects.setdefault(packet["objectId"], {})[packet["candid"]] = packet
    answers = Alerce({oid: list(alerts.values()) for oid, alerts in objects.items()})
    labels = labels[labels["objectId"].isin(objects)]
    labels[labels["classALeRCE"] != "bogus"].to_csv(tmp_path / "mine.csv", index=False)
    answers.classes["bogus"] = labels.loc[labels["classALeRCE"] == "bogus", "objectId"].tolist()
    monkeypatch.setenv("TWOSTAMP_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setenv("TWOSTAMP_DATABASE", f"postgresql://reader:{SECRET}@127.0.0.1:1/ztf")
    with serve(answers) as server:
        values = {
            "run_name": "sky",
            "archive": "alerce",
            "labels": "assembled",
            "label_csvs": [str(tmp_path / "mine.csv")],
        }
        values |= {"broker_labels": ["stamp_classifier/bogus"], "database": "$TWOSTAMP_DATABASE", "broker_rate": 2000.0}
        values |= {"broker_api_url": server.url, "broker_avro_url": server.url, "mark": "a local server"}
        values |= {"validation_per_class": 1, "test_per_class": 1, "cap_per_class": 20}
        params = make_parameters(values)
        run_notebooks(params, ["01_data_extraction"])
        folder = write_dataset(params, outputs_root() / "sky")

    data = open_dataset(folder)
    metadata = data.metadata().merge(labels, on="objectId", suffixes=("", "_true"))
    assert len(metadata) == len(data) > 20
    assert (metadata["classALeRCE"] == metadata["classALeRCE_true"]).all()
    assert set(metadata["classALeRCE"]) == {"AGN", "SN", "VS", "asteroid", "bogus"}
    assert {"train", "validation", "test"} <= set(metadata["split"])
    ledger = pd.read_csv(tmp_path / "outputs" / "sky" / "ledger.csv", dtype=str, keep_default_na=False)
    assert ledger.loc[(ledger["kind"] == "table") & (ledger["id"] == "3.4"), "status"].tolist() == ["real"]
    executed = nbformat.read(tmp_path / "outputs" / "sky" / "notebooks" / "01_data_extraction.ipynb", as_version=4)
    assert "with two alerts" in str(executed)
    assert not find_chatter(executed)
    assert "$TWOSTAMP_DATABASE" in (tmp_path / "outputs" / "sky" / "parameters.yaml").read_text()
    everything = [path for path in (tmp_path / "outputs").rglob("*") if path.is_file()]
    assert not any(SECRET.encode() in path.read_bytes() for path in everything)
