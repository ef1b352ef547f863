"""The forms in which others read a night."""

import pandas as pd
import pytest
from astropy.io.votable import parse_single_table

from tests.conftest import make_alert
from tests.stream.stub import CLASSES
from tests.stream.test_sink import make_payloads, sink, take  # noqa: F401
from twostamp.stream.exports import export_night, tabulate_alerce
from twostamp.stream.night import Night
from twostamp.stream.payloads import Extent, Place


@pytest.fixture
def night(sink):  # noqa: F811
    alerts = [make_alert(f"ZTF18{name}", n, 2458000.5 + n / 10, fid=2, magpsf=19.5) for n, name in enumerate("aabc", 1)]
    take(sink, Extent(Place("night", 0), 0, 4), *make_payloads(*alerts))
    return Night(sink.path)


def test_a_night_is_written_in_three_forms(night, tmp_path):
    parquet, votable, alerce = export_night(night, tmp_path)
    table, answers = pd.read_parquet(parquet), night.answers()
    pd.testing.assert_frame_equal(table, answers.drop(columns="has_packets"))
    read = parse_single_table(votable)
    fields = {field.name: field for field in read.fields}
    assert set(fields) == set(table)
    assert all(field.ucd for field in fields.values())
    assert (fields["ra"].ucd, str(fields["ra"].unit)) == ("pos.eq.ra;meta.main", "deg")
    assert (fields["p_SN"].ucd, fields["p_SN"].unit) == ("stat.probability", None)
    assert str(fields["deltajd"].unit) == "d"
    values = read.to_table()
    assert values["candid_1"].tolist() == table["candid_1"].tolist()
    assert values["deltajd"].mask.tolist() == table["deltajd"].isna().tolist()
    assert values["p_SN"].tolist() == table["p_SN"].tolist()
    assert set(pd.read_csv(alerce)) == {
        *("oid", "class_name", "classifier_name", "classifier_version", "probability", "ranking")
    }


def test_alerces_table_has_one_row_a_class_and_number_of_alerts(night):
    table = tabulate_alerce(night.answers(), CLASSES)
    key = ["oid", "class_name", "classifier_name", "classifier_version"]
    assert not table.duplicated(key).any()
    assert len(table) == 4 * len(CLASSES)
    assert set(table["classifier_name"]) == {"twostamp_stub_1", "twostamp_stub_2"}
    best = table[table["ranking"] == 1].set_index(["oid", "classifier_name"])["class_name"]
    for row in night.answers().itertuples():
        assert best[row.object_id, f"twostamp_stub_{row.n_alerts}"] == row.ranking.partition(",")[0]


def test_alerces_rules_are_an_option():
    answers = pd.DataFrame(
        {
            "object_id": list("abcd"),
            "n_alerts": 1,
            "model": "m",
            "model_version": "1",
            "class": ["SN", "SN", "AGN", "SN"],
            "p_SN": [0.9, 0.8, 0.1, 0.7],
            "p_asteroid": [0.1, 0.2, 0.9, 0.3],
            "near_star": [False, True, True, False],
            "negative_difference": [False, False, False, True],
            "solar_system_match": [False, False, True, False],
        }
    )
    assert set(tabulate_alerce(answers, ("SN", "asteroid"))["oid"]) == set("abcd")
    table = tabulate_alerce(answers, ("SN", "asteroid"), alerce_rules=True).set_index(["oid", "class_name"])
    assert set(table.index.get_level_values("oid")) == {"a", "c"}
    assert table.loc[("c", "asteroid"), "probability"] == 1.0
    assert table.loc[("a", "SN"), "probability"] == 0.9
